-- The current or last query of each session, and the age of its open transaction (for the year, see sessions.sql).
select c.session_id, c.client_net_address, q.text,
       case when a.transaction_begin_time > dateadd(year, -60, getdate())
         then cast(datediff(second, a.transaction_begin_time, getdate()) as bigint) * 1000 end as transaction_ms
from sys.dm_exec_connections as c
outer apply sys.dm_exec_sql_text(c.most_recent_sql_handle) as q
left join sys.dm_tran_session_transactions as t on t.session_id = c.session_id and t.is_user_transaction = 1
left join sys.dm_tran_active_transactions as a on a.transaction_id = t.transaction_id
where c.parent_connection_id is null
