/** One thread's share of a campaign. */
import { parentPort, workerData } from 'node:worker_threads'
import { tallyShare } from '../shares.ts'

parentPort?.postMessage(await tallyShare(workerData))
