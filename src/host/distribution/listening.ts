/** Whether this machine can listen where etcd is to listen, asked before etcd fails over it. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { addressMissing, portTaken } from './problems.ts'

/** @throws DatastoreError that names the port, or the address */
export async function checkListening(address: string, port: number): Promise<void> {
  const server = createServer()
  server.listen({ host: address, port, exclusive: true })
  try {
    await once(server, 'listening')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    if (code === 'EADDRINUSE') throw portTaken(address, port)
    if (code === 'EADDRNOTAVAIL') throw addressMissing(address)
    throw error
  }
  server.close()
  await once(server, 'close')
}
