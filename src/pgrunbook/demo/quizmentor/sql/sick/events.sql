/* pgrunbook: demo events, sick */
create index {events_id_idx} on {events} ({id});
