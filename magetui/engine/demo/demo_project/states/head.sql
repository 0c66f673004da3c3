-- What revisions c46b8f03e7d1 and f7502be6a9c4 change: the schema of the head.
create table pause (
    id integer not null,
    task_id integer not null,
    since datetime not null,
    reason text,
    primary key (id),
    foreign key (task_id) references task (id)
);
create table _alembic_tmp_task (
    id integer not null,
    workflow_id integer not null,
    name varchar(80) not null,
    command text not null,
    retries integer default '0' not null,
    primary key (id),
    constraint ck_task_retries check (retries >= 0),
    foreign key (workflow_id) references workflow (id)
);
insert into _alembic_tmp_task (id, workflow_id, name, command)
select id, workflow_id, name, command from task;
drop table task;
alter table _alembic_tmp_task rename to task;
create index ix_task_workflow_id on task (workflow_id);

alter table task_run add column started_by varchar(40);
create index ix_task_run_started_by on task_run (started_by);

update alembic_version set version_num = 'f7502be6a9c4';

update task set retries = 3 where workflow_id = 2;
update task_run set started_by = case task_id when 6 then 'ines' when 7 then 'ines' else 'calendar' end
where started_at is not null;
insert into pause (task_id, since, reason) values
    (8, '2025-10-17 18:05:00', 'the returns archive is being moved');
