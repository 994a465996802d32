// Reads a repository as the client tuf-js does, starting from an old root:
//   node read.mjs REPOSITORY ROOT TARGET...
// Prints the versions that it came to trust and the SHA-256 of each target, or fails.
import { createHash } from 'node:crypto';
import { copyFileSync, createReadStream, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import { Updater } from 'tuf-js';

const [repository, root, ...targets] = process.argv.slice(2);
const state = mkdtempSync(join(tmpdir(), 'sallyport-tuf-js-'));
copyFileSync(root, join(state, 'root.json'));

const server = createServer((request, response) => {
  const path = join(repository, normalize(decodeURIComponent(request.url)));
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) {
    response.writeHead(404).end();
    return;
  }
  createReadStream(path).pipe(response);
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const base = `http://127.0.0.1:${server.address().port}`;

try {
  const updater = new Updater({
    metadataDir: state,
    metadataBaseUrl: `${base}/metadata`,
    targetDir: state,
    targetBaseUrl: `${base}/targets`,
  });
  await updater.refresh();
  for (const role of ['root', 'timestamp', 'snapshot', 'targets'])
    console.log(role, JSON.parse(readFileSync(join(state, `${role}.json`))).signed.version);
  for (const name of targets) {
    const info = await updater.getTargetInfo(name);
    if (info === undefined) throw new Error(`${name}: no role signs it`);
    const file = await updater.downloadTarget(info, join(state, 'download'));
    console.log(name, createHash('sha256').update(readFileSync(file)).digest('hex'));
  }
} catch (error) {
  console.error(String(error));
  process.exitCode = 1;
} finally {
  server.close();
  rmSync(state, { recursive: true });
}
