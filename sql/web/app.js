"use strict";
/*
 * The tenant's page: balance, usage, recharges, switching, payment orders, personal data, over the HTTP API of schema
 * prepay_api (PostgREST conventions). Amounts are shown as the server wrote them and never computed with. All text goes
 * in by textContent. The token lives in this tab's sessionStorage; ?kiosk=1 keeps it in memory alone, in large letters,
 * and logs out after a minute in which nobody touches the screen.
 */

const KIOSK = new URLSearchParams(location.search).get("kiosk") === "1";
const KIOSK_SECONDS = 60;
const API = document.querySelector("meta[name=prepay-api]").content;
const CHANNELS = ["alipay", "wechat", "unionpay"];
const TABS = ["usage", "recharges", "meters", "pay", "alarms", "me"];

const TEXT = {
	zh: {
		title: "预付费电", logIn: "登录", logOut: "退出", account: "户号", password: "密码", byMonth: "每月用电", byDay: "每日用电",
		amount: "金额", channel: "支付方式", order: "下单", phone: "电话", language: "短信语言", save: "保存", oldPassword: "旧密码",
		newPassword: "新密码", changePassword: "修改密码", usage: "用电", recharges: "购电记录", meters: "电表", pay: "充值", alarms: "报警",
		me: "我的", wrong: "户号或密码不正确，或暂时被锁定。", expired: "登录已过期，请重新登录。", offline: "无法连接服务器。", saved: "已保存。",
		customer: "用户", place: "位置", opened: "开户日期", read: "最近抄表", debt: "债务", credit: "应急电费", switchOn: "合闸", switchOff: "拉闸",
		sureOff: "确定要断开该电表的供电吗？", on: "供电", off: "断电", ordered: "订单已生成", none: "没有记录",
		day: "日期", month: "月份", meter: "电表", period: "时段", tier: "阶梯", kwh: "电量 kWh", price: "单价", cost: "电费", at: "时间", kind: "类型",
		tendered: "付款", fee: "手续费", debtPaid: "还债", receipt: "收据号", level: "级别", detail: "内容", cleared: "解除", orderNo: "订单号", state: "状态",
		states: { open: "正常", alarm1: "一级报警", alarm2: "二级报警", arrears: "欠费", unopened: "未开户", lost: "失联", suspended: "停用", closed: "销户" },
		channels: { alipay: "支付宝", wechat: "微信支付", unionpay: "银联" },
	},
	en: {
		title: "Prepaid electricity", logIn: "Log in", logOut: "Log out", account: "Account", password: "Password", byMonth: "By month", byDay: "By day",
		amount: "Amount", channel: "Pay by", order: "Order", phone: "Phone", language: "Language of messages", save: "Save", oldPassword: "Old password",
		newPassword: "New password", changePassword: "Change password", usage: "Usage", recharges: "Purchases", meters: "Meters", pay: "Pay", alarms: "Alarms",
		me: "My data", wrong: "Account or password is wrong, or blocked for a while.", expired: "Your log-in has expired.", offline: "The server cannot be reached.",
		saved: "Saved.", customer: "Customer", place: "Place", opened: "Opened", read: "Last reading", debt: "Debt", credit: "Emergency credit",
		switchOn: "Switch on", switchOff: "Switch off", sureOff: "Cut the supply of this meter?", on: "on", off: "off", ordered: "Your order",
		none: "nothing here", day: "Day", month: "Month", meter: "Meter", period: "Period", tier: "Tier", kwh: "kWh", price: "Price", cost: "Cost", at: "Time",
		kind: "Kind", tendered: "Paid", fee: "Fee", debtPaid: "For debt", receipt: "Receipt", level: "Level", detail: "Text", cleared: "Cleared",
		orderNo: "Order", state: "State", states: {}, channels: { alipay: "Alipay", wechat: "WeChat Pay", unionpay: "UnionPay" },
	},
};

/* Columns of the lists: [text, column, is a number]. */
const LISTS = {
	months: [["month", r => r.month.slice(0, 7)], ["kwh", "kwh", true], ["cost", "amount", true]],
	days: [["day", "day"], ["meter", "meter"], ["period", "period"], ["tier", "tier", true], ["kwh", "kwh", true], ["price", "price", true], ["cost", "amount", true]],
	recharges: [["at", r => moment(r.booked_at)], ["kind", "kind"], ["tendered", "tendered", true], ["fee", "fee", true], ["debtPaid", "debt_paid", true],
		["amount", "amount", true], ["kwh", "kwh", true], ["channel", "tender"], ["receipt", "receipt_no", true]],
	orders: [["at", r => moment(r.created_at)], ["orderNo", "order_no"], ["amount", "amount", true], ["channel", r => text().channels[r.channel] || r.channel], ["state", "state"]],
	alarms: [["at", r => moment(r.raised_at)], ["kind", "kind"], ["level", "level", true], ["detail", "detail"], ["cleared", r => moment(r.cleared_at)]],
};

let language = (navigator.language || "zh").startsWith("zh") ? "zh" : "en";
let token = KIOSK ? null : sessionStorage.getItem("prepay-token");
let silence = 0;

const text = () => TEXT[language];
const element = id => document.getElementById(id);
const moment = time => time ? new Date(time).toLocaleString(language === "zh" ? "zh-CN" : "en-GB") : "";

function make(tag, content, className) {
	const made = document.createElement(tag);
	if (content !== undefined && content !== null)
		made.textContent = content;
	if (className)
		made.className = className;
	return made;
}

/* ---- the API ---- */

class ApiError extends Error {}

/* Numbers of money and energy stay text: JSON.parse would make binary fractions of them. */
function parse(body) {
	return JSON.parse(body.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g,
		part => part.startsWith('"') ? part : JSON.stringify(part)));
}

async function call(path, argument) {
	const headers = { Accept: "application/json" };
	const sent = token;
	let answer;
	if (token)
		headers.Authorization = "Bearer " + token;
	if (argument)
		headers["Content-Type"] = "application/json";
	try {
		answer = await fetch(API + path, { method: argument ? "POST" : "GET", headers, body: argument ? JSON.stringify(argument) : undefined,
			cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" });
	} catch {
		throw new ApiError(text().offline);
	}
	const body = await answer.text();
	if (answer.status === 401 && sent) {
		logOut();
		throw new ApiError(text().expired);
	}
	if (!answer.ok) {
		let fault = {};
		try {
			fault = JSON.parse(body);
		} catch { /* not the API's own answer */ }
		throw new ApiError([fault.message, fault.details, fault.hint].filter(Boolean).join(" ") || answer.status + " " + answer.statusText);
	}
	return body ? parse(body) : null;
}

/* ---- showing ---- */

function notice(message) {
	const box = element("notice");
	box.textContent = message || "";
	box.hidden = !message;
}

function translate() {
	document.documentElement.lang = language;
	for (const node of document.querySelectorAll("[data-text]"))
		node.textContent = text()[node.dataset.text];
	element("language").textContent = language === "zh" ? "English" : "中文";
	for (const tab of element("tabs").children)
		tab.textContent = text()[tab.dataset.tab];
	element("order").channel.replaceChildren(...CHANNELS.map(channel => {
		const option = make("option", text().channels[channel]);
		option.value = channel;
		return option;
	}));
}

function fill(name, rows) {
	const table = document.querySelector(`[data-list=${name}]`);
	const columns = LISTS[name];
	const value = (row, column) => typeof column === "function" ? column(row) : row[column];
	const cell = (tag, content, isNumber) => make(tag, content, isNumber ? "number" : "");
	const line = cells => {
		const row = make("tr");
		row.append(...cells);
		return row;
	};
	table.replaceChildren(line(rows.length ? columns.map(([title, , isNumber]) => cell("th", text()[title], isNumber)) : [make("td", text().none)]),
		...rows.map(row => line(columns.map(([, column, isNumber]) => cell("td", value(row, column), isNumber)))));
}

function showAccount(account) {
	const facts = [["account", account.account], ["customer", account.customer], ["place", account.place_name || account.place],
		["opened", moment(account.opened_at)], ["read", moment(account.last_read_at)], ["debt", account.debt], ["credit", account.emergency_credit]];
	document.querySelector("#balance .amount").textContent = account.balance;
	document.querySelector("#balance .currency").textContent = account.currency;
	element("state").textContent = text().states[account.state] || account.state;
	element("state").dataset.color = account.color;
	element("facts").replaceChildren(...facts.filter(([, value]) => value && !/^0(\.0+)?$/.test(value))
		.flatMap(([name, value]) => [make("dt", text()[name]), make("dd", value)]));
	element("data").phone.value = account.phone || "";
	element("data").language.value = account.language || "zh";
}

async function turn(meter, on) {
	if (!on && !confirm(text().sureOff))
		return;
	await call("/rpc/switch_my_meter", { meter: meter.meter, on });
	await load("meters");
}

function showMeters(meters) {
	element("meter-list").replaceChildren(...meters.map(meter => {
		const row = make("div", null, "meter");
		const button = make("button", meter.switched_off ? text().switchOn : text().switchOff, "strong");
		row.dataset.meter = meter.meter;
		button.type = "button";
		button.disabled = !meter.may_switch;
		button.onclick = () => attempt(() => turn(meter, meter.switched_off));
		row.append(make("span", meter.name || meter.meter, "name"), make("span", meter.register_kwh + " kWh", "soft"),
			make("span", meter.kw ? meter.kw + " kW" : "", "soft"), make("span", text()[meter.supply] || meter.supply, "supply"), button);
		return row;
	}));
}

function showOrder(order) {
	const box = element("ordered");
	const request = order.request || {};
	const target = request.headers || request.fields ? "" : request.url || "";
	box.replaceChildren(make("p", `${text().ordered}: ${order.order_no}, ${order.amount}, ${text().channels[order.channel] || order.channel}`));
	if (/^(https|weixin|alipays):\/\//.test(target)) {
		const link = make("a", text().channels[order.channel] || order.channel);
		link.href = target;
		link.rel = "noreferrer";
		box.append(link);
	}
	box.hidden = false;
}

/* ---- loading ---- */

const LOADERS = {
	async usage() {
		fill("months", await call("/my_usage_monthly?order=month.desc&limit=12"));
		fill("days", await call("/my_usage_daily?order=day.desc,meter,period,tier&limit=62"));
	},
	async recharges() { fill("recharges", await call("/my_recharges?order=booked_at.desc&limit=50")); },
	async meters() { showMeters(await call("/my_meters?order=meter")); },
	async pay() { fill("orders", await call("/my_payment_orders?order=created_at.desc&limit=20")); },
	async alarms() { fill("alarms", await call("/my_alarms?order=raised_at.desc&limit=50")); },
	async me() {},
};

async function load(tab) {
	const accounts = await call("/my_account");
	if (!accounts.length) {
		logOut();
		throw new ApiError(text().expired);
	}
	showAccount(accounts[0]);
	await LOADERS[tab]();
	for (const name of TABS)
		element(name).hidden = name !== tab;
	for (const button of element("tabs").children)
		button.setAttribute("aria-current", button.dataset.tab === tab);
	element("log-in-page").hidden = true;
	element("account-page").hidden = false;
	element("log-out").hidden = false;
}

function currentTab() {
	return TABS.find(name => !element(name).hidden) || "usage";
}

function logOut() {
	token = null;
	sessionStorage.removeItem("prepay-token");
	for (const form of document.forms)
		form.reset();
	for (const table of document.querySelectorAll("[data-list]"))
		table.replaceChildren();
	element("facts").replaceChildren();
	element("meter-list").replaceChildren();
	element("ordered").hidden = true;
	element("account-page").hidden = true;
	element("log-out").hidden = true;
	element("log-in-page").hidden = false;
}

/* Whatever a person starts: a fault becomes a notice. */
async function attempt(work) {
	notice();
	try {
		await work();
	} catch (fault) {
		if (!(fault instanceof ApiError))
			throw fault;
		notice(fault.message);
	}
}

function onSubmit(id, work) {
	element(id).onsubmit = event => {
		const form = event.target;
		const button = form.querySelector("button");
		event.preventDefault();
		button.disabled = true;
		attempt(() => work(form)).finally(() => { button.disabled = false; });
	};
}

onSubmit("log-in", async form => {
	const given = await call("/rpc/log_in", { account: form.account.value.trim(), password: form.password.value });
	form.password.value = "";
	if (!given)
		throw new ApiError(text().wrong);
	token = given;
	if (!KIOSK)
		sessionStorage.setItem("prepay-token", token);
	await load("usage");
});
onSubmit("order", async form => {
	showOrder(await call("/rpc/create_payment_order", { amount: form.amount.value, channel: form.channel.value }));
	await load("pay");
});
onSubmit("data", async form => {
	await call("/rpc/change_my_data", { phone: form.phone.value.trim() || null, language: form.language.value });
	await load("me");
	notice(text().saved);
});
onSubmit("password", async form => {
	if (String(await call("/rpc/change_my_password", { old_password: form.old_password.value, new_password: form.new_password.value })) !== "true")
		throw new ApiError(text().wrong);
	form.reset();
	logOut();
	notice(text().saved);
});

element("log-out").onclick = () => { notice(); logOut(); };
element("language").onclick = () => {
	language = language === "zh" ? "en" : "zh";
	translate();
	if (token)
		attempt(() => load(currentTab()));
};
for (const name of TABS) {
	const button = make("button");
	button.type = "button";
	button.dataset.tab = name;
	button.onclick = () => attempt(() => load(name));
	element("tabs").append(button);
}
if (KIOSK) {
	document.body.classList.add("kiosk");
	for (const touch of ["pointerdown", "keydown"])
		document.addEventListener(touch, () => { silence = 0; });
	setInterval(() => {
		if (token && ++silence >= KIOSK_SECONDS)
			logOut();
	}, 1000);
}
translate();
element("log-in-page").hidden = false;
if (token)
	attempt(() => load("usage"));
