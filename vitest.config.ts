/**
 * Two kinds of tests. `unit` runs anywhere. `machine` needs root: it makes network namespaces, mounts and real
 * datastores, and waits for what happens there. It comes after the rest, one file after the other, for two cores
 * hold no more than one lab. Where machines cannot be made it is left out and said so; in CI that is a failure.
 */
import { configDefaults, defineConfig } from 'vitest/config'
import { whyNoNamespaces } from './sim/lab/demo/ground.ts'

const MACHINE = [
  'test/lab/**/*.test.ts',
  'test/host/{api,mesh,network,distribution}/**/*.test.ts',
  'test/host/{store,store-crash,reset,identity}.test.ts',
]

const obstacle = whyNoNamespaces()
if (obstacle !== null) {
  const message = `the tests that make machines cannot run here: ${obstacle}`
  if (process.env.CI !== undefined) throw new Error(message)
  process.stderr.write(`${message}\n`)
}

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...MACHINE, 'test/k3s/**', 'test/boot/**'],
          testTimeout: 20_000,
          sequence: { groupOrder: 0 },
        },
      },
      ...(obstacle === null
        ? [
            {
              test: {
                name: 'machine',
                include: MACHINE,
                globalSetup: 'test/lab/packages.ts',
                fileParallelism: false,
                testTimeout: 60_000,
                hookTimeout: 60_000,
                sequence: { groupOrder: 1 },
              },
            },
          ]
        : []),
    ],
  },
})
