/** Space for what comes: what nobody needs makes way for it, the reserve does not. */
import type { DownloadPorts } from './ports.ts'

/** @throws ContentError where so many bytes more would not leave the reserve. */
export async function needSpace(
  what: string,
  { store, makeRoom }: Pick<DownloadPorts, 'store' | 'makeRoom'>,
  bytes: number,
): Promise<void> {
  try {
    await store.needSpace(bytes, what)
  } catch {
    await makeRoom()
    await store.needSpace(bytes, what)
  }
}
