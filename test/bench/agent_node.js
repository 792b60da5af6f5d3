// Baseline: modbus-serial or jsmodbus polling as fast as they can.
// LIBRARY CONNECTIONS SECONDS REGISTERS PORT; prints requests/s, us of CPU a request, MiB, failed.
'use strict';
const net = require('net');
const [library, ...numbers] = process.argv.slice(2);
const [connections, seconds, registers, port] = numbers.map(Number);
let answered = 0, failed = 0;

async function modbusSerial(i) {
  const ModbusRTU = require('modbus-serial');
  const client = new ModbusRTU();
  await client.connectTCP('127.0.0.1', { port: port + i });
  client.setID(1);
  client.setTimeout(2000);
  return () => client.readHoldingRegisters(0, registers);
}

function jsmodbus(i) {
  const { client: { TCP } } = require('jsmodbus');
  const socket = new net.Socket();
  const client = new TCP(socket, 1, 2000);
  return new Promise((resolve) => {
    socket.on('connect', () => resolve(() => client.readHoldingRegisters(0, registers)));
    socket.connect({ host: '127.0.0.1', port: port + i });
  });
}

async function poll(i, end) {
  const read = await (library === 'jsmodbus' ? jsmodbus : modbusSerial)(i);
  while (Date.now() < end) {
    try { await read(); answered++; } catch (error) { failed++; }
  }
}

(async () => {
  const begun = Date.now();
  await Promise.all([...Array(connections).keys()].map((i) => poll(i, begun + 1000 * seconds)));
  const cpu = process.cpuUsage();
  console.log(`${(1000 * answered / (Date.now() - begun)).toFixed(0)} ` +
    `${((cpu.user + cpu.system) / answered).toFixed(1)} ` +
    `${(process.resourceUsage().maxRSS / 1024).toFixed(1)} ${failed}`);
  process.exit(0);
})();
