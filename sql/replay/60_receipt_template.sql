-- Shipped templates (site_id 0), written anew at every install(): a site changes its own copy of one.
-- Text: 22 lines of 80 columns, a third of a page of 241 mm continuous paper at 10 characters and
-- 6 lines an inch, so that the next receipt begins at the perforation. HTML: the same paper by @page.
-- Statements have as many lines of 80 columns as it takes, or pages of A4.
INSERT INTO prepay.receipt_template (site_id, code, language, kind, format, copies, body) VALUES
(0, 'receipt', 'zh', 'receipt', 'text', '{}', $template${site_name:^80}
{title:^80}
{reprint:<40}单号      {receipt_no:<30}
--------------------------------------------------------------------------------
户名      {customer:<70}
户号      {account:<30}电话      {phone:<30}
位置      {place_name:<30}电表      {meters:<30}
时间      {booked_at:<30}收款点    {till:<30}
--------------------------------------------------------------------------------
本次金额  {tendered:>24}      付款方式  {tender:<30}
大写金额  {currency:<8}{tendered_capital:<62}
其中手续费{fee:>24}      购电次数  {purchase_no:<30}
其中还欠款{debt_paid:>24}      电价      {price:<30}
上次余额  {balance_before:>24}      折合(kWh) {kwh:<30}
账面余额  {balance_after:>24}      尚欠款    {debt_left:<30}
当前余额  {balance:>24}      原单号    {ref_receipt_no:<30}
--------------------------------------------------------------------------------
备注      {note:<70}
账目  {seq:<8}原账目  {ref_seq:<8}校验  {hash:<18}账本  {anchor:<20}
操作员  {operator:<20}打印人  {printed_by:<19}打印  {printed_at:<19}
                                                                                
收款人(签章) ________________            客户(签字) ________________            
$template$),
(0, 'receipt', 'en', 'receipt', 'text', '{}', $template${site_name:^80}
{title:^80}
{reprint:<40}Number    {receipt_no:<30}
--------------------------------------------------------------------------------
Customer  {customer:<70}
Account   {account:<30}Phone     {phone:<30}
Place     {place_name:<30}Meters    {meters:<30}
Time      {booked_at:<30}Till      {till:<30}
--------------------------------------------------------------------------------
Amount    {tendered:>24} {currency:<5}Paid by   {tender:<30}
of it fee {fee:>24}      Purchase  {purchase_no:<30}
and debt  {debt_paid:>24}      Price     {price:<30}
Before    {balance_before:>24}      kWh       {kwh:<30}
Posted    {balance_after:>24}      In debt   {debt_left:<30}
Balance   {balance:>24}      Original  {ref_receipt_no:<30}
--------------------------------------------------------------------------------
Note      {note:<70}
Entry {seq:<8}Of entry {ref_seq:<8}Hash {hash:<17}Anchor {anchor:<20}
Operator {operator:<19}Printed by {printed_by:<19}at {printed_at:<19}
                                                                                
Cashier ____________________            Customer ____________________           
                                                                                
$template$),
(0, 'receipt-html', 'zh', 'receipt', 'html', '{存根联,客户联,记账联}', $template$<!DOCTYPE html>
<html lang="zh">
<head>
<meta charset="utf-8">
<title>{title} {receipt_no}</title>
<style>
@page { size: 241mm 93.1mm; margin: 5mm 10mm }
body { margin: 0; font-family: "SimSun", "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif; font-size: 10pt }
.copy { height: 83mm; overflow: hidden; position: relative; break-after: page }
.copy:last-child { break-after: auto }
h1 { margin: 0; font-size: 14pt; text-align: center }
p { margin: 0; height: 5mm; line-height: 5mm; white-space: nowrap; overflow: hidden }
.label { position: absolute; top: 0; right: 0 }
table { width: 100%; table-layout: fixed; border-collapse: collapse }
td { padding: 0 1mm; height: 5mm; border: 0.2mm solid #000 }
td div { height: 5mm; line-height: 5mm; white-space: nowrap; overflow: hidden }
col.name { width: 20mm }
td.money { text-align: right }
.proof { font-size: 8pt }
.sign { margin-top: 4mm }
.sign span { display: inline-block; width: 33% }
</style>
</head>
<body>
{#copies}
<div class="copy">
<p>{site_name}</p>
<h1>{title}</h1>
<div class="label">{copy} <b>{reprint}</b></div>
<p>单号 {receipt_no}　时间 {booked_at}</p>
<table>
<col class="name"><col><col class="name"><col>
<tr><td>户名</td><td colspan="3"><div><bdi>{customer}</bdi></div></td></tr>
<tr><td>户号</td><td><div>{account}</div></td><td>电话</td><td><div>{phone}</div></td></tr>
<tr><td>位置</td><td><div>{place_name}</div></td><td>电表</td><td><div>{meters}</div></td></tr>
<tr><td>本次金额</td><td class="money">{tendered}</td><td>付款方式</td><td>{tender}</td></tr>
<tr><td>大写金额</td><td colspan="3">{currency} {tendered_capital}</td></tr>
<tr><td>其中</td><td colspan="3"><div>{#fee}手续费 {fee}　{/fee}{#debt_paid}还欠款 {debt_paid}　{/debt_paid}{#debt_left}尚欠款 {debt_left}　{/debt_left}{#price}电价 {price}，折合 {kwh} kWh　{/price}{#purchase_no}第 {purchase_no} 次购电{/purchase_no}</div></td></tr>
<tr><td>上次余额</td><td class="money">{balance_before}</td><td>收款点</td><td><div>{till}</div></td></tr>
<tr><td>账面余额</td><td class="money">{balance_after}</td><td>当前余额</td><td class="money">{balance}</td></tr>
<tr><td>备注</td><td colspan="3"><div>{#ref_seq}原账目 {ref_seq}（{ref_booked_at}）{ref_receipt_no} {/ref_seq}<bdi>{note}</bdi></div></td></tr>
</table>
<p class="proof">账目 {seq}　校验 {hash}　账本校验 {anchor}　打印 {printed_at} {printed_by}</p>
<p class="sign"><span>操作员 {operator}</span><span>收款人（签章）</span><span>客户（签字）</span></p>
</div>
{/copies}
</body>
</html>
$template$),
(0, 'receipt-html', 'en', 'receipt', 'html', '{Stub,Customer,Accounts}', $template$<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title} {receipt_no}</title>
<style>
@page { size: 241mm 93.1mm; margin: 5mm 10mm }
body { margin: 0; font-family: "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif; font-size: 10pt }
.copy { height: 83mm; overflow: hidden; position: relative; break-after: page }
.copy:last-child { break-after: auto }
h1 { margin: 0; font-size: 14pt; text-align: center }
p { margin: 0; height: 5mm; line-height: 5mm; white-space: nowrap; overflow: hidden }
.label { position: absolute; top: 0; right: 0 }
table { width: 100%; table-layout: fixed; border-collapse: collapse }
td { padding: 0 1mm; height: 5mm; border: 0.2mm solid #000 }
td div { height: 5mm; line-height: 5mm; white-space: nowrap; overflow: hidden }
col.name { width: 24mm }
td.money { text-align: right }
.proof { font-size: 8pt }
.sign { margin-top: 4mm }
.sign span { display: inline-block; width: 33% }
</style>
</head>
<body>
{#copies}
<div class="copy">
<p>{site_name}</p>
<h1>{title}</h1>
<div class="label">{copy} <b>{reprint}</b></div>
<p>No. {receipt_no} &emsp; {booked_at}</p>
<table>
<col class="name"><col><col class="name"><col>
<tr><td>Customer</td><td colspan="3"><div><bdi>{customer}</bdi></div></td></tr>
<tr><td>Account</td><td><div>{account}</div></td><td>Phone</td><td><div>{phone}</div></td></tr>
<tr><td>Place</td><td><div>{place_name}</div></td><td>Meters</td><td><div>{meters}</div></td></tr>
<tr><td>Amount</td><td class="money">{tendered} {currency}</td><td>Paid by</td><td>{tender}</td></tr>
<tr><td>Of it</td><td colspan="3"><div>{#fee}fee {fee} &emsp; {/fee}{#debt_paid}debt paid {debt_paid} &emsp; {/debt_paid}{#debt_left}still in debt {debt_left} &emsp; {/debt_left}{#price}{kwh} kWh at {price} &emsp; {/price}{#purchase_no}purchase {purchase_no}{/purchase_no}</div></td></tr>
<tr><td>Before</td><td class="money">{balance_before} {currency}</td><td>Till</td><td><div>{till}</div></td></tr>
<tr><td>Posted</td><td class="money">{balance_after} {currency}</td><td>Balance</td><td class="money">{balance} {currency}</td></tr>
<tr><td>Note</td><td colspan="3"><div>{#ref_seq}Of entry {ref_seq} ({ref_booked_at}) {ref_receipt_no} {/ref_seq}<bdi>{note}</bdi></div></td></tr>
</table>
<p class="proof">Entry {seq} &emsp; Hash {hash} &emsp; Anchor {anchor} &emsp; Printed {printed_at} {printed_by}</p>
<p class="sign"><span>Operator {operator}</span><span>Cashier</span><span>Customer</span></p>
</div>
{/copies}
</body>
</html>
$template$),
(0, 'statement', 'zh', 'statement', 'text', '{}', $template${site_name:^80}
{title:^80}
户名      {customer:<70}
户号      {account:<30}月份      {month:<30}
位置      {place_name:<30}电话      {phone:<30}
--------------------------------------------------------------------------------
上期余额  {opening:>24}      币种      {currency:<30}
--------------------------------------------------------------------------------
日期       项目                             电量(kWh)     单价              金额
{#lines}
{from_day:<11}{item:<31}{kwh:>11}{price:>9}{amount:>18}
{/lines}
--------------------------------------------------------------------------------
本期收付  {paid:>24}      本期电费  {cost:<30}
期末余额  {closing:>24}      本月电量  {kwh_total:<30}
{#now}
当前余额  {now:>24}      已扣未结电费                            
{/now}
--------------------------------------------------------------------------------
电表                              起度            止度      倍率       电量(kWh)
{#registers}
{register_meter:<22}{register_from:>16}{register_to:>16}{ratio:>10}{register_kwh:>16}
{/registers}
--------------------------------------------------------------------------------
账目  {last_seq:<8}校验  {hash:<20}打印  {printed_at:<21}{printed_by:<13}
$template$),
(0, 'statement', 'en', 'statement', 'text', '{}', $template${site_name:^80}
{title:^80}
Customer  {customer:<70}
Account   {account:<30}Month     {month:<30}
Place     {place_name:<30}Phone     {phone:<30}
--------------------------------------------------------------------------------
Opening   {opening:>24}      Currency  {currency:<30}
--------------------------------------------------------------------------------
Date       Item                                   kWh    Price            Amount
{#lines}
{from_day:<11}{item:<31}{kwh:>11}{price:>9}{amount:>18}
{/lines}
--------------------------------------------------------------------------------
Paid      {paid:>24}      Charged   {cost:<30}
Closing   {closing:>24}      kWh       {kwh_total:<30}
{#now}
Now       {now:>24}      with open usage                         
{/now}
--------------------------------------------------------------------------------
Meter                             From              To     Ratio             kWh
{#registers}
{register_meter:<22}{register_from:>16}{register_to:>16}{ratio:>10}{register_kwh:>16}
{/registers}
--------------------------------------------------------------------------------
Entry {last_seq:<8}Hash  {hash:<20}Printed {printed_at:<21}{printed_by:<11}
$template$),
(0, 'statement-html', 'zh', 'statement', 'html', '{}', $template$<!DOCTYPE html>
<html lang="zh">
<head>
<meta charset="utf-8">
<title>{title} {account} {month}</title>
<style>
@page { size: A4; margin: 15mm 12mm; @bottom-right { content: counter(page) " / " counter(pages); font-size: 8pt } }
body { margin: 0; font-family: "SimSun", "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif; font-size: 9pt }
h1 { margin: 0 0 3mm 0; font-size: 14pt; text-align: center }
p { margin: 0 }
table { width: 100%; border-collapse: collapse; margin: 2mm 0 }
thead { display: table-header-group }
th { text-align: left; font-weight: normal; border-bottom: 0.3mm solid #000 }
th, td { padding: 0.6mm 1mm; overflow-wrap: anywhere }
tr { break-inside: avoid }
.number { text-align: right; white-space: nowrap }
.proof { font-size: 8pt }
</style>
</head>
<body>
<p>{site_name}</p>
<h1>{title} {month}</h1>
<table>
<tr><td>户名</td><td colspan="3"><bdi>{customer}</bdi></td></tr>
<tr><td>户号</td><td>{account}</td><td>电话</td><td>{phone}</td></tr>
<tr><td>位置</td><td>{place_name}</td><td>上期余额</td><td class="number">{opening} {currency}</td></tr>
</table>
<table>
<thead><tr><th>日期</th><th>项目</th><th class="number">kWh</th><th class="number">单价</th><th class="number">金额</th><th class="number">余额</th></tr></thead>
<tbody>
{#lines}
<tr><td>{from_day}</td><td>{item}</td><td class="number">{kwh}</td><td class="number">{price}</td><td class="number">{amount}</td><td class="number">{balance}</td></tr>
{/lines}
</tbody>
</table>
<table>
<tr><td>本期收付</td><td class="number">{paid}</td><td>本期电费</td><td class="number">{cost}</td></tr>
<tr><td>期末余额</td><td class="number">{closing}</td><td>本月电量</td><td class="number">{kwh_total}</td></tr>
{#now}
<tr><td>当前余额</td><td class="number">{now}</td><td colspan="2">已扣未结电费</td></tr>
{/now}
</table>
<table>
<thead><tr><th>电表</th><th class="number">起度</th><th class="number">止度</th><th class="number">倍率</th><th class="number">kWh</th></tr></thead>
<tbody>
{#registers}
<tr><td>{register_meter}</td><td class="number">{register_from} ({read_from})</td><td class="number">{register_to} ({read_to})</td><td class="number">{ratio}</td><td class="number">{register_kwh}</td></tr>
{/registers}
</tbody>
</table>
<p class="proof">账目 {last_seq}　校验 {hash}　打印 {printed_at} {printed_by}</p>
</body>
</html>
$template$),
(0, 'statement-html', 'en', 'statement', 'html', '{}', $template$<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title} {account} {month}</title>
<style>
@page { size: A4; margin: 15mm 12mm; @bottom-right { content: counter(page) " / " counter(pages); font-size: 8pt } }
body { margin: 0; font-family: "Noto Sans CJK SC", "WenQuanYi Micro Hei", sans-serif; font-size: 9pt }
h1 { margin: 0 0 3mm 0; font-size: 14pt; text-align: center }
p { margin: 0 }
table { width: 100%; border-collapse: collapse; margin: 2mm 0 }
thead { display: table-header-group }
th { text-align: left; font-weight: normal; border-bottom: 0.3mm solid #000 }
th, td { padding: 0.6mm 1mm; overflow-wrap: anywhere }
tr { break-inside: avoid }
.number { text-align: right; white-space: nowrap }
.proof { font-size: 8pt }
</style>
</head>
<body>
<p>{site_name}</p>
<h1>{title} {month}</h1>
<table>
<tr><td>Customer</td><td colspan="3"><bdi>{customer}</bdi></td></tr>
<tr><td>Account</td><td>{account}</td><td>Phone</td><td>{phone}</td></tr>
<tr><td>Place</td><td>{place_name}</td><td>Opening</td><td class="number">{opening} {currency}</td></tr>
</table>
<table>
<thead><tr><th>Date</th><th>Item</th><th class="number">kWh</th><th class="number">Price</th><th class="number">Amount</th><th class="number">Balance</th></tr></thead>
<tbody>
{#lines}
<tr><td>{from_day}</td><td>{item}</td><td class="number">{kwh}</td><td class="number">{price}</td><td class="number">{amount}</td><td class="number">{balance}</td></tr>
{/lines}
</tbody>
</table>
<table>
<tr><td>Paid</td><td class="number">{paid}</td><td>Charged</td><td class="number">{cost}</td></tr>
<tr><td>Closing</td><td class="number">{closing}</td><td>kWh of the month</td><td class="number">{kwh_total}</td></tr>
{#now}
<tr><td>Now</td><td class="number">{now}</td><td colspan="2">with open usage</td></tr>
{/now}
</table>
<table>
<thead><tr><th>Meter</th><th class="number">From</th><th class="number">To</th><th class="number">Ratio</th><th class="number">kWh</th></tr></thead>
<tbody>
{#registers}
<tr><td>{register_meter}</td><td class="number">{register_from} ({read_from})</td><td class="number">{register_to} ({read_to})</td><td class="number">{ratio}</td><td class="number">{register_kwh}</td></tr>
{/registers}
</tbody>
</table>
<p class="proof">Entry {last_seq} &emsp; Hash {hash} &emsp; Printed {printed_at} {printed_by}</p>
</body>
</html>
$template$)
ON CONFLICT (site_id, code, language) DO UPDATE SET kind = EXCLUDED.kind, format = EXCLUDED.format,
	copies = EXCLUDED.copies, body = EXCLUDED.body;
