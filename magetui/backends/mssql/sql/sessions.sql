-- The other clients of this database, and all sessions that block one of them. Without VIEW SERVER STATE, a login sees
-- only its own session in both views (sys.dm_exec_sessions and sys.dm_exec_requests, "Permissions"). A session that has
-- never ended a request ended it in 1900, and the seconds since then are too many for datediff: its time is unknown.
select s.session_id, s.login_name, s.program_name, s.host_name, s.context_info,
       case when r.session_id is not null then 'active'
            when s.open_transaction_count > 0 then 'idle in transaction'
            else 'idle' end as state,
       coalesce(r.total_elapsed_time, case when s.last_request_end_time > dateadd(year, -60, getdate())
         then cast(datediff(second, s.last_request_end_time, getdate()) as bigint) * 1000 end) as query_ms,
       r.wait_type, r.blocking_session_id,
       convert(nvarchar(30), s.login_time, 126) as began, s.is_user_process
from sys.dm_exec_sessions as s
left join sys.dm_exec_requests as r on r.session_id = s.session_id
where s.session_id <> @@spid
  and ((s.is_user_process = 1 and s.database_id = db_id())
       or s.session_id in (select b.blocking_session_id from sys.dm_exec_requests as b
                           where b.blocking_session_id > 0 and b.database_id = db_id()))
order by s.session_id
