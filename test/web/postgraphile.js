"use strict";
/* A front by PostGraphile's library, asked by itself: see postgraphile.sh. */
const assert = require("assert");
const http = require("http");
const jwt = require("jsonwebtoken");
const { postgraphile } = require("postgraphile");

const [url, secret, account, password] = process.argv.slice(2);

/* What PostgREST sets by itself: the role, and the claims of a token that is in order. */
function settings(request) {
	const token = (request.headers.authorization || "").replace(/^Bearer /, "");
	const claims = token ? jwt.verify(token, secret, { algorithms: ["HS256"] }) : {};
	return { role: "prepay_tenant", "request.jwt.claims": JSON.stringify(claims) };
}

const server = http.createServer(postgraphile(url, "prepay_api", { ignoreRBAC: false, includeExtensionResources: true, dynamicJson: true, disableQueryLog: true,
	pgSettings: async request => settings(request) }));

async function ask(query, variables, token) {
	const answer = await fetch(`http://127.0.0.1:${server.address().port}/graphql`, { method: "POST", body: JSON.stringify({ query, variables }),
		headers: { "Content-Type": "application/json", ...(token ? { Authorization: "Bearer " + token } : {}) } });
	const body = await answer.json();
	assert(!body.errors, JSON.stringify(body.errors));
	return body.data;
}

async function run() {
	const shown = await ask("{ __schema { queryType { fields { name } } mutationType { fields { name } } } }");
	console.log("queries:", shown.__schema.queryType.fields.map(field => field.name).join(" "));
	console.log("mutations:", shown.__schema.mutationType.fields.map(field => field.name).join(" "));
	const logIn = "mutation ($account: String!, $password: String!) { logIn(input: { account: $account, password: $password }) { string } }";
	assert.strictEqual((await ask(logIn, { account, password: password + "x" })).logIn.string, null);
	const token = (await ask(logIn, { account, password })).logIn.string;
	const query = "{ allMyAccounts { nodes { account customer balance } } allMyUsageMonthlies { nodes { month kwh amount } } }";
	assert.strictEqual((await ask(query)).allMyAccounts.nodes.length, 0);
	console.log("as the tenant:", JSON.stringify(await ask(query, {}, token)));
}

server.listen(0, "127.0.0.1", () => run().then(() => process.exit(0), fault => { console.error(fault.message); process.exit(1); }));
