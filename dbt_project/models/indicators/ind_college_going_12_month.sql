-- Grain: one row per person x organization x level x cohort year.
-- Rule: high school graduates found enrolled in the window college_12_month (policy outcome_window.csv); 20 USC 6311(h)(1)(C)(xiii).
{{ college_going('college_going_12_month', 'college_12_month') }}
