-- Grain: one row per person x organization x cohort year x employer that paid the person in full calendar year 1.
-- Rule: what dominance and the number of employers are judged on; 20 CFR 603.4.
{{ employment_contributor('employment_year_1_after_college', 'college', 1) }}
