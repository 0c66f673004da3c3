-- Revision c46b8f03e7d1, stopped between two of its statements: Python's driver commits each CREATE TABLE at once.
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
