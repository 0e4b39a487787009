"use strict";
// Calls any method of the published client by name: a JSON line in, a JSON line out, in order.
//   {"url", "token"?, "method", "args"?}  ->  {"ok": true, "value", "made", "absent"}  or  {"ok": false, "status", "error"}
//   {"env": {"NAME": "value" or null}}    ->  {"ok": true, "value": {…}}   sets or unsets, and answers what they were
// `made` names the class of the answer, or of its first element; `absent` its fields that are undefined.
const readline = require("node:readline");
const { HEATRuntime, HEATRuntimeOptions } = require("heat-runtime");

const clients = new Map();

function client(url, token) {
  const key = JSON.stringify([url, token ?? null]);
  if (!clients.has(key)) clients.set(key, new HEATRuntime(new HEATRuntimeOptions(url, token)));
  return clients.get(key);
}

function environment(wanted) {
  const were = {};
  for (const [name, value] of Object.entries(wanted)) {
    were[name] = process.env[name] ?? null;
    if (value === null) delete process.env[name];
    else process.env[name] = value;
  }
  return { ok: true, value: were };
}

function shown(value) {
  const one = Array.isArray(value) ? value[0] : value;
  const fields = one && typeof one === "object" ? Object.keys(one) : [];
  return {
    ok: true,
    value: value === undefined ? null : value,
    made: value === undefined ? "undefined" : (one?.constructor?.name ?? "null"),
    absent: fields.filter((name) => one[name] === undefined),
  };
}

async function answer(call) {
  if (call.env) return environment(call.env);
  const runtime = client(call.url, call.token);
  const member = runtime[call.method];
  if (member === undefined) return { ok: false, status: null, error: `the client has no ${call.method}` };
  try {
    return shown(typeof member === "function" ? await member.apply(runtime, call.args ?? []) : member);
  } catch (error) {
    return { ok: false, status: error.response?.status ?? null, error: String(error.message), body: error.response?.data };
  }
}

// Data sources hold clients of their stores, which are no values.
function plain(_, value) {
  return value?.constructor?.name.endsWith("Client") ? undefined : value;
}

async function main() {
  console.warn = () => {}; // the client warns about what its caller is told anyway
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line.trim()) process.stdout.write(JSON.stringify(await answer(JSON.parse(line)), plain) + "\n");
  }
}

main();
