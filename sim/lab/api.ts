/** The daemon's local API as an outsider sees it: a GET over its Unix socket. */
import { request } from 'node:http'

/** Answers the JSON document, or throws where nobody answers within `timeoutMs` or the answer is not 200. */
export async function ask(socketPath: string, path: string, timeoutMs = 2_000): Promise<unknown> {
  return JSON.parse(await askText(socketPath, path, timeoutMs))
}

/** As {@link ask}, for what is no JSON. */
export function askText(socketPath: string, path: string, timeoutMs = 2_000): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path, timeout: timeoutMs, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('error', reject)
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString()
        if (answer.statusCode !== 200) {
          reject(new Error(`GET ${path}: ${answer.statusCode} ${text}`))
          return
        }
        resolve(text)
      })
    })
    call.on('timeout', () => call.destroy(new Error(`GET ${path}: no answer within ${timeoutMs} ms`)))
    call.on('error', reject)
    call.end()
  })
}
