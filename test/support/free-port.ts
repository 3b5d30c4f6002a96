// Free ports for servers that cannot be asked which one they took.

import { createServer } from 'node:net'

/** So many different free TCP ports on loopback. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<ReturnType<typeof createServer>>((done, failed) => {
          const server = createServer()
          server.once('error', failed)
          server.listen(0, '127.0.0.1', () => done(server))
        })
    )
  )
  const ports = servers.map(server => (server.address() as { readonly port: number }).port)
  await Promise.all(servers.map(server => new Promise(closed => server.close(closed))))
  return ports
}
