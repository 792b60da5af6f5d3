"""Columns of a view as ODBC shows them: name, type. usage: odbc_columns.py HOST PORT USER VIEW"""
import sys

import pyodbc

host, port, user, view = sys.argv[1:]
link = pyodbc.connect(f'DRIVER={{PostgreSQL Unicode}};Server={host};Port={port};Database=postgres;Uid={user}')
for column in link.cursor().columns(table=view, schema='prepay'):
    print(column.column_name, column.type_name, sep='\t')
