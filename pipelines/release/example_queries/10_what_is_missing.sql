-- Which sources lack what for which indicator?
select indicator_code, source, collection, missing, min(school_year) as first_year, max(school_year) as last_year
from mart_availability
where status <> 'available'
group by indicator_code, source, collection, missing
order by indicator_code, source, collection, missing;
