"""Columns of a view as LibreOffice Base's own driver shows them. usage: base_columns.py PROFILE HOST PORT USER VIEW"""
import subprocess
import sys
import time

import uno

profile, host, port, user, view = sys.argv[1:]
office = subprocess.Popen(['soffice', f'-env:UserInstallation=file://{profile}', '--headless', '--norestore',
                           '--accept=pipe,name=prepay;urp'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
try:
    local = uno.getComponentContext()
    resolver = local.ServiceManager.createInstanceWithContext('com.sun.star.bridge.UnoUrlResolver', local)
    deadline = time.time() + 120
    while True:
        try:
            context = resolver.resolve('uno:pipe,name=prepay;urp;StarOffice.ComponentContext')
            break
        except Exception:
            if time.time() > deadline:
                raise
            time.sleep(0.2)
    manager = context.ServiceManager.createInstanceWithContext('com.sun.star.sdbc.DriverManager', context)
    link = manager.getConnection(f'sdbc:postgresql:host={host} port={port} dbname=postgres user={user}')
    columns = link.getMetaData().getColumns(None, 'prepay', view, '%')
    while columns.next():
        print(columns.getString(4), columns.getString(6), columns.getString(12), sep='\t')
    link.close()
finally:
    office.kill()
    office.wait()
