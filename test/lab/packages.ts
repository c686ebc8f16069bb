/** Before the tests that make machines: the Debian packages that these need. */
import { installMissing } from '../../sim/lab/packages.ts'

export async function setup(): Promise<void> {
  await installMissing('lab', (line) => process.stderr.write(`${line}\n`))
}
