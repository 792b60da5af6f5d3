"""
What PostgREST does for schema prepay_api, as far as the tests need it: Debian has no PostgREST. On loopback only.

    postgrest.py PORT CONNINFO SECRET ANON_ROLE FOLDER

GET /api/VIEW?column=op.value&order=a.desc,b&limit=n and POST /api/rpc/FUNCTION with named arguments, each in one
transaction: SET LOCAL ROLE by the token's claim (HS256, exp checked), request.jwt.claims set. Other paths are files of
FOLDER. Errors have PostgREST's form and status.
"""
import base64
import hashlib
import hmac
import http.server
import json
import os
import re
import sys
import time
import urllib.parse

import psycopg2
from psycopg2 import sql

PORT, CONNINFO, SECRET, ANON, FOLDER = int(sys.argv[1]), *sys.argv[2:6]
OPERATORS = {'eq': '=', 'neq': '<>', 'gt': '>', 'gte': '>=', 'lt': '<', 'lte': '<='}
STATUS = {'42501': 403, '42P01': 404, '42883': 404, '23505': 409, 'P0001': 400}
TYPES = {'.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css'}


class Refused(Exception):
    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def decode(part):
    return base64.urlsafe_b64decode(part + '=' * (-len(part) % 4))


def claims_of(header):
    """Claims of a bearer token, as text and parsed; no token: the anonymous role."""
    if not header:
        return None, {'role': ANON}
    token = header.removeprefix('Bearer ')
    try:
        head, body, signature = token.split('.')
        right = hmac.new(SECRET.encode(), f'{head}.{body}'.encode(), hashlib.sha256).digest()
        if json.loads(decode(head)).get('alg') != 'HS256' or not hmac.compare_digest(right, decode(signature)):
            raise Refused(401, 'JWSError JWSInvalidSignature')
        claims = json.loads(decode(body))
    except ValueError:
        raise Refused(401, 'JWSError') from None
    if claims.get('exp', float('inf')) < time.time():
        raise Refused(401, 'JWT expired')
    return decode(body).decode(), claims


def view_query(view, parameters):
    where, order, limit = [], [], None
    for name, value in parameters:
        if name == 'order':
            for part in value.split(','):
                column, _, way = part.partition('.')
                order.append(sql.SQL('{} {}').format(sql.Identifier(column), sql.SQL('DESC' if way == 'desc' else 'ASC')))
        elif name == 'limit':
            limit = int(value)
        else:
            op, _, operand = value.partition('.')
            where.append(sql.SQL('{} {} {}').format(sql.Identifier(name), sql.SQL(OPERATORS[op]), sql.Literal(operand)))
    query = sql.SQL('SELECT * FROM prepay_api.{}').format(sql.Identifier(view))
    if where:
        query += sql.SQL(' WHERE ') + sql.SQL(' AND ').join(where)
    if order:
        query += sql.SQL(' ORDER BY ') + sql.SQL(', ').join(order)
    if limit is not None:
        query += sql.SQL(' LIMIT {}').format(sql.Literal(limit))
    return sql.SQL("SELECT COALESCE(json_agg(x), '[]')::text FROM ({}) x").format(query)


def call_query(cursor, name, arguments):
    """One value or one object for a plain function, an array for a set."""
    cursor.execute("SELECT proretset, prorettype = 'void'::regtype FROM pg_proc WHERE pronamespace = 'prepay_api'::regnamespace"
                   " AND proname = %s", (name,))
    found = cursor.fetchone()
    if not found:
        raise Refused(404, f'Could not find the function prepay_api.{name}')
    named = sql.SQL(', ').join(sql.SQL('{} => {}').format(sql.Identifier(key), sql.Literal(value)) for key, value in arguments.items())
    call = sql.SQL('prepay_api.{}({})').format(sql.Identifier(name), named)
    if found[0]:
        return sql.SQL("SELECT COALESCE(json_agg(x), '[]')::text FROM {} x").format(call)
    return sql.SQL("SELECT NULLIF({}::text, '')").format(call) if found[1] else sql.SQL('SELECT COALESCE(to_json({})::text, \'null\')').format(call)


def answer(method, path, parameters, header, body):
    text, claims = claims_of(header)
    link = psycopg2.connect(CONNINFO)
    try:
        with link, link.cursor() as cursor:
            cursor.execute(sql.SQL('SET LOCAL ROLE {}').format(sql.Identifier(claims['role'])))
            cursor.execute("SELECT set_config('request.jwt.claims', %s, true)", (text or '{}',))
            if method == 'POST':
                cursor.execute(call_query(cursor, path.removeprefix('rpc/'), json.loads(body or '{}')))
            else:
                cursor.execute(view_query(path, parameters))
            return cursor.fetchone()[0] or ''
    finally:
        link.close()


class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, status, kind, body):
        self.send_response(status)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def api(self, method, body=None):
        url = urllib.parse.urlsplit(self.path)
        try:
            text = answer(method, url.path.removeprefix('/api/'), urllib.parse.parse_qsl(url.query),
                          self.headers.get('Authorization'), body)
            self.reply(200, 'application/json', text.encode())
        except Refused as fault:
            self.reply(fault.status, 'application/json', json.dumps({'message': str(fault)}).encode())
        except psycopg2.Error as fault:
            told = {'code': fault.pgcode, 'message': fault.diag.message_primary, 'details': fault.diag.message_detail,
                    'hint': fault.diag.message_hint}
            self.reply(STATUS.get(fault.pgcode, 400), 'application/json', json.dumps(told).encode())

    def do_GET(self):
        if self.path.startswith('/api/'):
            return self.api('GET')
        name = urllib.parse.urlsplit(self.path).path.strip('/') or 'index.html'
        if not re.fullmatch(r'[a-z]+\.[a-z]+', name) or not os.path.exists(os.path.join(FOLDER, name)):
            return self.reply(404, 'text/plain', b'')
        with open(os.path.join(FOLDER, name), 'rb') as file:
            return self.reply(200, TYPES[os.path.splitext(name)[1]], file.read())

    def do_POST(self):
        return self.api('POST', self.rfile.read(int(self.headers.get('Content-Length', 0))))

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(('127.0.0.1', PORT), Handler).serve_forever()
