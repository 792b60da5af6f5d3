// Makes test/sql/pay_vectors.inc: keys, and messages as the payment channels would post them.
//
//   cd test/pay && npm install && node vectors.mjs > ../sql/pay_vectors.inc
//
// Every message is checked by a library of its channel before it is written: alipay-sdk,
// wechatpay-axios-plugin and wechatpay-node-v3. For UnionPay, which has none at npm, the rule
// is written out here and signatures are checked by the openssl program. Keys are made anew
// each time and are good for nothing but these tests.
//
//   node vectors.mjs check < requests.json
//
// checks what create_payment_order() and refund_payment() gave: [{"channel", "keys", "request"}, ...]

import assert from 'node:assert'
import crypto from 'node:crypto'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { execFileSync } from 'node:child_process'
import { AlipaySdk } from 'alipay-sdk'
import { Rsa, Aes, Formatter } from 'wechatpay-axios-plugin'
import WxPay from 'wechatpay-node-v3'

const NOW = Date.parse('2027-03-02T12:00:00+08:00') / 1000
const ALIPAY = { app_id: '2021000000000001', seller_id: '2088000000000001' }
const WECHAT = { mchid: '1900000001', appid: 'wx0000000000000001' }
const UNIONPAY = { merId: '777290000000001' }
const API_V3_KEY = 'abcdefghijklmnopqrstuvwxyz012345'

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pay'))
const at = name => path.join(folder, name)
const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }).toString()
const pem = name => fs.readFileSync(at(name), 'utf8')

function keyPair() {
	return crypto.generateKeyPairSync('rsa', {
		modulusLength: 2048,
		publicKeyEncoding: { type: 'spki', format: 'pem' },
		privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
	})
}

const bare = text => text.replace(/-----[^-]+-----|\s/g, '')

// A certificate by an authority, or by itself.
function certificate(name, subject, authority) {
	openssl('req', '-new', '-newkey', 'rsa:2048', '-nodes', '-utf8', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', subject)
	const by = authority ? ['-CA', `${authority}.pem`, '-CAkey', `${authority}.key`] : ['-signkey', `${name}.key`]
	fs.writeFileSync(at(`${name}.ext`), `basicConstraints=critical,CA:${authority ? 'FALSE' : 'TRUE'}\n`)
	openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-days', '3650', '-set_serial', `0x${crypto.randomBytes(8).toString('hex').replace(/^./, '7')}`,
		'-extfile', `${name}.ext`, '-out', `${name}.pem`)
	return { certificate: pem(`${name}.pem`), privateKey: pem(`${name}.key`) }
}

const keys = []
const messages = []
const addKey = (channel, name, value, serial = null) => keys.push({ channel, name, value, serial })
const addMessage = (name, channel, headers, body) => messages.push({ name, channel, headers, body: Buffer.from(body) })

// ---- Alipay ----

const alipay = keyPair()
const app = keyPair()
addKey('alipay', 'app_private_key', bare(app.privateKey))
addKey('alipay', 'alipay_public_key', bare(alipay.publicKey))
const alipaySdk = new AlipaySdk({ appId: ALIPAY.app_id, privateKey: app.privateKey, keyType: 'PKCS8', alipayPublicKey: alipay.publicKey })

// Bytes of a form; in GBK only of texts that are given as their bytes.
const escapeBytes = bytes => [...bytes].map(b => /[A-Za-z0-9_.~-]/.test(String.fromCharCode(b)) ? String.fromCharCode(b)
	: b === 32 ? '+' : '%' + b.toString(16).padStart(2, '0').toUpperCase()).join('')
const formBody = fields => Object.entries(fields).map(([k, v]) => `${k}=${escapeBytes(Buffer.from(v))}`).join('&')

function alipayMessage(name, change = {}, signedWithType = false, key = alipay.privateKey) {
	const fields = {
		gmt_create: '2027-03-02 11:58:00', charset: 'utf-8', gmt_payment: '2027-03-02 11:58:05', notify_time: '2027-03-02 11:58:07',
		subject: '电费 A1+1% & more', buyer_id: '2088000000000009', invoice_amount: '100.00', version: '1.0', notify_id: 'n' + name,
		notify_type: 'trade_status_sync', out_trade_no: '1PALIPAY0001', total_amount: '100.00', trade_status: 'TRADE_SUCCESS',
		trade_no: '2027030222001400000000000001', auth_app_id: ALIPAY.app_id, receipt_amount: '100.00', point_amount: '0.00',
		fund_bill_list: '[{"amount":"100.00","fundChannel":"ALIPAYACCOUNT"}]', ...ALIPAY, ...change,
	}
	for (const k of Object.keys(fields))
		if (fields[k] === null)
			delete fields[k]
	const signed = signedWithType ? { ...fields, sign_type: 'RSA2' } : fields
	const text = Buffer.concat(Object.keys(signed).sort().flatMap((k, i) => [Buffer.from((i ? '&' : '') + k + '='), Buffer.from(signed[k])]))
	const sign = crypto.createSign('RSA-SHA256').update(text).sign(key, 'base64')
	const whole = { ...fields, sign_type: 'RSA2', sign }
	if (Object.values(whole).every(v => typeof v === 'string'))
		assert.equal(alipaySdk.checkNotifySignV2({ ...whole }), key === alipay.privateKey, name)
	addMessage(name, 'alipay', { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8', cookie: 'secret=1' }, formBody(whole))
}

alipayMessage('alipay_paid')
alipayMessage('alipay_finished', { trade_status: 'TRADE_FINISHED', notify_time: '2027-03-02 12:10:00' })
alipayMessage('alipay_waiting', { trade_status: 'WAIT_BUYER_PAY', gmt_payment: null })
alipayMessage('alipay_signed_with_type', { out_trade_no: '1PALIPAY0002', trade_no: '2027030222001400000000000002' }, true)
alipayMessage('alipay_amount', { out_trade_no: '1PALIPAY0003', trade_no: '2027030222001400000000000003', total_amount: '99.99' })
alipayMessage('alipay_unknown', { out_trade_no: '1PALIPAYNONE', trade_no: '2027030222001400000000000004' })
alipayMessage('alipay_other_seller', { seller_id: '2088000000000002', trade_no: '2027030222001400000000000005' })
alipayMessage('alipay_other_key', { trade_no: '2027030222001400000000000006' }, false, app.privateKey)
alipayMessage('alipay_closed', { out_trade_no: '1PALIPAY0004', trade_no: '2027030222001400000000000007', trade_status: 'TRADE_CLOSED', gmt_payment: null })
alipayMessage('alipay_paid_after_close', { out_trade_no: '1PALIPAY0004', trade_no: '2027030222001400000000000007' })
alipayMessage('alipay_paid_in_time', { out_trade_no: '1PALIPAY0005', trade_no: '2027030222001400000000000008', gmt_payment: '2027-03-02 10:29:59' })
alipayMessage('alipay_paid_late', { out_trade_no: '1PALIPAY0006', trade_no: '2027030222001400000000000009', gmt_payment: '2027-03-02 10:50:00' })
alipayMessage('alipay_account_closed', { out_trade_no: '1PALIPAY0007', trade_no: '2027030222001400000000000010' })
alipayMessage('alipay_paid_twice', { trade_no: '2027030222001400000000000011' })
alipayMessage('alipay_gbk', { out_trade_no: '1PALIPAY0008', trade_no: '2027030222001400000000000012', charset: 'GBK', subject: Buffer.from('b5e7b7d1', 'hex') })
alipayMessage('alipay_refund', { refund_fee: '30.00', gmt_refund: '2027-03-02 12:20:00.000', out_biz_no: '1RALIPAY0001' })
alipayMessage('alipay_amount_broken', { out_trade_no: '1PALIPAY0009', trade_no: '2027030222001400000000000013', total_amount: '1e2x' })
alipayMessage('alipay_fee_takes_all', { out_trade_no: '1PALIPAY0009', trade_no: '2027030222001400000000000014' })
alipayMessage('alipay_other_site', { out_trade_no: '2PALIPAY0001', trade_no: '2027030222001400000000000015' })

// ---- WeChat Pay ----

const platform = keyPair()
const merchant = certificate('wechat', '/CN=1900000001')
const serial = '7132D72A03E93CDDF8C03BBD1F37EEDF00000001'
addKey('wechat', 'merchant_key', merchant.certificate + merchant.privateKey)
addKey('wechat', 'api_v3_key', API_V3_KEY)
addKey('wechat', 'platform_key', platform.publicKey, serial)
const wxpay = new WxPay({ appid: WECHAT.appid, mchid: WECHAT.mchid, publicKey: Buffer.from(merchant.certificate), privateKey: Buffer.from(merchant.privateKey), key: API_V3_KEY })

function wechatMessage(name, change = {}, { time = NOW - 2, event = 'TRANSACTION.SUCCESS', type = 'transaction', serialNo = serial, key = platform.privateKey, seal, associated = type, trade } = {}) {
	const plain = JSON.stringify(trade ?? {
		...WECHAT, out_trade_no: '1PWECHAT0001', transaction_id: '4200000001202703020000000001', trade_type: 'NATIVE', trade_state: 'SUCCESS',
		trade_state_desc: '支付成功', bank_type: 'CMC', attach: '', success_time: '2027-03-02T11:59:50+08:00', payer: { openid: 'o0000000000000000001' },
		amount: { total: 10000, payer_total: 10000, currency: 'CNY', payer_currency: 'CNY' }, ...change,
	})
	const nonce = crypto.randomBytes(6).toString('hex')
	const ciphertext = Aes.AesGcm.encrypt(plain, API_V3_KEY, nonce, type)
	const body = JSON.stringify({
		id: crypto.randomUUID(), create_time: '2027-03-02T11:59:55+08:00', resource_type: 'encrypt-resource', event_type: event, summary: '支付成功',
		resource: { original_type: type, algorithm: 'AEAD_AES_256_GCM', ciphertext: seal ? seal(ciphertext) : ciphertext, associated_data: associated, nonce },
	})
	const signNonce = Formatter.nonce()
	const signature = Rsa.sign(Formatter.response(`${time}`, signNonce, body), key)
	assert.equal(Rsa.verify(Formatter.response(`${time}`, signNonce, body), signature, platform.publicKey), key === platform.privateKey, name)
	if (!seal && associated === type)
		assert.deepEqual(wxpay.decipher_gcm(ciphertext, type, nonce), JSON.parse(plain), name)
	addMessage(name, 'wechat', {
		'Content-Type': 'application/json', 'Wechatpay-Timestamp': `${time}`, 'Wechatpay-Nonce': signNonce, 'Wechatpay-Signature': signature,
		'Wechatpay-Serial': serialNo, 'Wechatpay-Signature-Type': 'WECHATPAY2-SHA256-RSA2048',
	}, body)
}

const refund = (state, change = {}) => ({
	mchid: WECHAT.mchid, out_trade_no: '1PWECHAT0001', transaction_id: '4200000001202703020000000001', out_refund_no: '1RWECHAT0001',
	refund_id: '50000000012027030200000000001', refund_status: state, success_time: '2027-03-02T12:20:00+08:00',
	amount: { total: 10000, refund: 3000, payer_total: 10000, payer_refund: 3000 }, ...change,
})
const flip = text => Buffer.from(text, 'base64').map((b, i) => i === 10 ? b ^ 1 : b)

wechatMessage('wechat_paid')
wechatMessage('wechat_paid_again', {}, { time: NOW + 60 })
wechatMessage('wechat_stale', {}, { time: NOW - 301 })
wechatMessage('wechat_future', {}, { time: NOW + 301 })
wechatMessage('wechat_serial', {}, { serialNo: 'PUB_KEY_ID_0100000000000000000000000000000000' })
wechatMessage('wechat_other_key', {}, { key: merchant.privateKey })
wechatMessage('wechat_tampered', {}, { seal: text => flip(text).toString('base64') })
wechatMessage('wechat_short', {}, { seal: () => 'AAAA' })
wechatMessage('wechat_associated', {}, { associated: 'refund' })
wechatMessage('wechat_other_merchant', { mchid: '1900000002' })
wechatMessage('wechat_other_app', { appid: 'wx0000000000000002' })
wechatMessage('wechat_currency', { amount: { total: 10000, currency: 'USD' } })
wechatMessage('wechat_fraction', { amount: { total: 100.5, currency: 'CNY' } })
wechatMessage('wechat_amount', { out_trade_no: '1PWECHAT0002', transaction_id: '4200000001202703020000000002', amount: { total: 1, currency: 'CNY' } })
wechatMessage('wechat_unknown', { out_trade_no: '1PWECHATNONE', transaction_id: '4200000001202703020000000003' })
wechatMessage('wechat_by_hand', { out_trade_no: '1PWECHAT0003', transaction_id: '4200000001202703020000000004' })
wechatMessage('wechat_no_trade', {}, { trade: [] })
wechatMessage('wechat_refund_failed', {}, { event: 'REFUND.ABNORMAL', type: 'refund', trade: refund('ABNORMAL', { out_refund_no: '1RWECHAT0002' }) })
wechatMessage('wechat_refund', {}, { event: 'REFUND.SUCCESS', type: 'refund', trade: refund('SUCCESS') })

// ---- UnionPay ----

const root = certificate('root', '/CN=Test Root')
const rogueRoot = certificate('rogue', '/CN=Test Root')
const signer = certificate('signer', '/CN=041@8310000000083040@中国银联股份有限公司@00016495', 'root')
const stranger = certificate('stranger', '/CN=041@8310000000083040@Somebody@00016495', 'root')
const rogue = certificate('rogueleaf', '/CN=041@8310000000083040@中国银联股份有限公司@00016495', 'rogue')
const unionMerchant = certificate('unionpay', '/CN=merchant')
addKey('unionpay', 'merchant_key', unionMerchant.certificate + unionMerchant.privateKey)
addKey('unionpay', 'roots', root.certificate)

function unionpayMessage(name, change = {}, by = signer) {
	const fields = {
		accessType: '0', bizType: '000201', currencyCode: '156', encoding: 'UTF-8', orderId: '1PUNIONPAY01', queryId: '642703021200001234567',
		respCode: '00', respMsg: '成功[0000000]', settleAmt: '10000', settleCurrencyCode: '156', settleDate: '0302', signMethod: '01', traceNo: '123456',
		traceTime: '0302120000', txnAmt: '10000', txnSubType: '01', txnTime: '20270302115900', txnType: '01', version: '5.1.0', ...UNIONPAY, ...change,
		signPubKeyCert: by.certificate,
	}
	const text = Object.keys(fields).sort().map(k => `${k}=${fields[k]}`).join('&')
	const digest = crypto.createHash('sha256').update(text).digest('hex')
	fs.writeFileSync(at('digest'), digest)
	const signature = crypto.createSign('RSA-SHA256').update(digest).sign(by.privateKey, 'base64')
	fs.writeFileSync(at('signature'), Buffer.from(signature, 'base64'))
	fs.writeFileSync(at('public'), crypto.createPublicKey(by.certificate).export({ type: 'spki', format: 'pem' }))
	assert.match(openssl('dgst', '-sha256', '-verify', 'public', '-signature', 'signature', 'digest'), /Verified OK/, name)
	addMessage(name, 'unionpay', { 'Content-Type': 'application/x-www-form-urlencoded' }, formBody({ ...fields, signature }))
}

unionpayMessage('unionpay_paid')
unionpayMessage('unionpay_flawed', { orderId: '1PUNIONPAY02', queryId: '642703021200001234568', respCode: 'A6' })
unionpayMessage('unionpay_failed', { orderId: '1PUNIONPAY03', queryId: '642703021200001234569', respCode: '01' })
unionpayMessage('unionpay_amount', { orderId: '1PUNIONPAY03', queryId: '642703021200001234570', txnAmt: '9999' })
unionpayMessage('unionpay_unknown', { orderId: '1PUNIONPAYNONE', queryId: '642703021200001234571' })
unionpayMessage('unionpay_currency', { orderId: '1PUNIONPAY03', queryId: '642703021200001234572', currencyCode: '840' })
unionpayMessage('unionpay_other_merchant', { merId: '777290000000002' })
unionpayMessage('unionpay_rogue_root', {}, rogue)
unionpayMessage('unionpay_self_signed', {}, unionMerchant)
unionpayMessage('unionpay_stranger', {}, stranger)
unionpayMessage('unionpay_refund', { orderId: '1RUNIONPAY01', queryId: '642703021200001234573', txnType: '04', txnSubType: '00', txnAmt: '3000' })

// ---- what we made ourselves ----

const field = (body, name) => new URLSearchParams(body).get(name)

function checkRequest({ channel, keys, request }) {
	if (channel === 'alipay') {
		const text = request.order_string ?? request.body ?? new URL(request.url).search.slice(1)
		const params = Object.fromEntries(new URLSearchParams(text))
		const { sign, ...rest } = params
		const publicKey = crypto.createPublicKey(crypto.createPrivateKey({ key: Buffer.from(keys.app_private_key, 'base64'), format: 'der', type: 'pkcs8' }))
		const checker = new AlipaySdk({ appId: 'x', privateKey: app.privateKey, keyType: 'PKCS8', alipayPublicKey: publicKey.export({ type: 'spki', format: 'pem' }) })
		const signed = Object.keys(rest).sort().map(k => `${k}=${rest[k]}`).join('&')
		assert(checker.rsaCheck(signed, sign), 'alipay')
		JSON.parse(params.biz_content)
	} else if (channel === 'wechat') {
		const parts = Object.fromEntries([...request.headers.Authorization.matchAll(/(\w+)="([^"]*)"/g)].map(m => [m[1], m[2]]))
		const certificate = new crypto.X509Certificate(keys.merchant_key)
		assert.equal(parts.serial_no, certificate.serialNumber)
		const message = Formatter.request('POST', new URL(request.url).pathname, parts.timestamp, parts.nonce_str, request.body)
		assert(Rsa.verify(message, parts.signature, certificate.publicKey), 'wechat')
		JSON.parse(request.body)
	} else {
		const fields = request.fields ?? Object.fromEntries(new URLSearchParams(request.body))
		const { signature, ...rest } = fields
		const digest = crypto.createHash('sha256').update(Object.keys(rest).sort().map(k => `${k}=${rest[k]}`).join('&')).digest('hex')
		const certificate = new crypto.X509Certificate(keys.merchant_key)
		assert.equal(rest.certId, BigInt('0x' + certificate.serialNumber).toString())
		assert(crypto.createVerify('RSA-SHA256').update(digest).verify(certificate.publicKey, signature, 'base64'), 'unionpay')
	}
}

// ---- out ----

const quote = text => text === null ? 'NULL' : `'${text.replace(/'/g, "''")}'`

function write() {
	console.log('-- Made by test/pay/vectors.mjs: keys and messages of payment channels, for tests alone.')
	console.log('CREATE TEMP TABLE pay_key (channel text, name text, serial text, value text);')
	console.log('CREATE TEMP TABLE pay_vector (name text, channel text, headers jsonb, body text);')
	for (const k of keys)
		console.log(`INSERT INTO pay_key VALUES (${quote(k.channel)}, ${quote(k.name)}, ${quote(k.serial)}, ${quote(k.value)});`)
	for (const m of messages)
		console.log(`INSERT INTO pay_vector VALUES (${quote(m.name)}, ${quote(m.channel)}, ${quote(JSON.stringify(m.headers))}, ${quote(m.body.toString('utf8'))});`)
}

if (process.argv[2] === 'check') {
	const requests = JSON.parse(fs.readFileSync(0, 'utf8'))
	requests.forEach(checkRequest)
	console.log(`${requests.length} requests are signed as the channels want them`)
} else
	write()
fs.rmSync(folder, { recursive: true })
