select cast(serverproperty('ProductVersion') as nvarchar(128)) as version, db_name() as database_name,
       schema_name() as schema_name, suser_sname() as login_name,
       cast(databasepropertyex(db_name(), 'Updateability') as nvarchar(128)) as updateability
