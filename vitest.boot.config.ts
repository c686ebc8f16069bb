/** `npm run test:boot`: apart from the other tests, for it emulates whole machines and takes minutes. */
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    root: '.',
    include: ['test/boot/**/*.test.ts'],
    globalSetup: 'test/boot/packages.ts',
    fileParallelism: false,
    testTimeout: 900_000,
    hookTimeout: 900_000,
  },
})
