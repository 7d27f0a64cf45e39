/* pgrunbook: twin_range_columns */
select
  ''::text as schema,
  ''::text as name,
  ''::text as column_name
where %(ignored_schemas)s::text[] is null
