-- Grain: one row per person x organization x level x cohort year.
-- Rule: found in covered employment in full calendar year 1 after the award; 20 CFR 603.4 governs what may be shown.
{{ employment_after('employment_year_1_after_high_school', 'high_school', 1) }}
