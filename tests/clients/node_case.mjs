// What the Node.js clients' cases share. A script is run as: node SCRIPT PORT CASE; without a case it
// lists them. A case that wants the server restarted prints `restart` and waits for a line.
import assert from 'node:assert/strict';
import readline from 'node:readline';

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

export async function eventually(check, seconds = 10) {
  const end = Date.now() + seconds * 1000;
  while (!(await check())) {
    assert(Date.now() < end, 'it did not come to that in time');
    await sleep(10);
  }
}

export function restartServer() {
  return new Promise(resolve => {
    const lines = readline.createInterface({ input: process.stdin });
    lines.once('line', () => {
      lines.close();
      resolve();
    });
    console.log('restart');
  });
}

export async function main(cases) {
  const [port, name] = process.argv.slice(2);
  if (!name) {
    console.log(Object.keys(cases).join('\n'));
    return;
  }
  try {
    await cases[name](Number(port));
    process.exit(0);
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
