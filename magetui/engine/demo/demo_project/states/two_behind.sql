-- The scheduler's database as revision a3d95c7e1f28 leaves it, two before the head, with a month of work in it.
create table alembic_version (
    version_num varchar(32) not null,
    constraint alembic_version_pkc primary key (version_num)
);
insert into alembic_version values ('a3d95c7e1f28');

create table calendar (
    id integer not null,
    name varchar(80) not null,
    cron varchar(80) not null,
    primary key (id)
);
create table workflow (
    id integer not null,
    name varchar(80) not null,
    created_at datetime not null,
    calendar_id integer,
    primary key (id),
    constraint fk_workflow_calendar foreign key (calendar_id) references calendar (id),
    unique (name)
);
create table task (
    id integer not null,
    workflow_id integer not null,
    name varchar(80) not null,
    command text not null,
    primary key (id),
    foreign key (workflow_id) references workflow (id)
);
create index ix_task_workflow_id on task (workflow_id);
create table task_run (
    id integer not null,
    task_id integer not null,
    state varchar(12) default 'waiting' not null,
    started_at datetime,
    ended_at datetime,
    primary key (id),
    foreign key (task_id) references task (id)
);
create index ix_task_run_task_id_started_at on task_run (task_id, started_at);

insert into calendar (id, name, cron) values
    (1, 'every night', '15 2 * * *'),
    (2, 'on the hour', '0 * * * *'),
    (3, 'first of the month', '30 4 1 * *');
insert into workflow (id, name, created_at, calendar_id) values
    (1, 'invoices', '2025-02-03 10:20:00', 1),
    (2, 'stock-levels', '2025-02-10 15:02:11', 2),
    (3, 'month-end', '2025-04-08 11:45:30', 3),
    (4, 'returns-backfill', '2025-05-02 09:00:00', null);
insert into task (id, workflow_id, name, command) values
    (1, 1, 'collect', 'billing collect --since yesterday'),
    (2, 1, 'render', 'billing render --format pdf'),
    (3, 1, 'send', 'billing send --batch 200'),
    (4, 2, 'fetch', 'warehouse fetch --all-sites'),
    (5, 2, 'compare', 'warehouse compare --tolerance 2'),
    (6, 3, 'close', 'ledger close --period last'),
    (7, 3, 'report', 'ledger report --to finance'),
    (8, 4, 'replay', 'returns replay --from 2024-11-01');

-- The nightly tasks 30 times, the hourly ones 720 times; about one in forty failed.
with recursive hour (n) as (select 0 union all select n + 1 from hour where n < 719)
insert into task_run (task_id, state, started_at, ended_at)
select task.id,
       case when (hour.n * 7 + task.id) % 41 = 0 then 'failed' else 'done' end,
       datetime('2025-10-01', hour.n || ' hours', (task.id * 4) || ' minutes'),
       datetime('2025-10-01', hour.n || ' hours', (task.id * 4) || ' minutes', (20 + (hour.n * 13) % 160) || ' seconds')
from hour
join task on task.workflow_id = 2 or (task.workflow_id = 1 and hour.n % 24 = 2)
order by hour.n, task.id;
insert into task_run (task_id, state, started_at, ended_at) values
    (6, 'done', '2025-10-01 04:30:00', '2025-10-01 04:41:12'),
    (7, 'done', '2025-10-01 04:41:15', '2025-10-01 04:42:58'),
    (4, 'running', '2025-10-31 00:16:00', null),
    (5, 'waiting', null, null);
