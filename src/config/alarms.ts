// Where alarms go besides the log.

import { z } from 'zod'

/** A host that nobody else reaches: there, and only there, plain text is good enough. */
const isLoopback = (name: string): boolean => /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])$/.test(name)

const address = z.string().superRefine((text, context) => {
  const problem = addressProblem(text)
  if (problem !== null) context.addIssue({ code: 'custom', message: problem })
})

function addressProblem(text: string): string | null {
  const url = URL.parse(text)
  if (url === null || !['http:', 'https:'].includes(url.protocol)) return 'an address such as https://alarms.example/in'
  // Logs and errors show addresses.
  if (url.username !== '' || url.password !== '') return 'no login in the address: what is sent is signed'
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) return 'plain text off loopback: use https'
  return null
}

const webhook = z
  .strictObject({
    url: address,
    /** The place of the key that signs what is sent; a file goes before the environment. */
    secretEnv: z.string().min(1).optional(),
    secretFile: z.string().min(1).optional(),
    /** Who vouches for the server; the system's authorities unless named. */
    caFile: z.string().min(1).optional()
  })
  .refine(({ secretEnv, secretFile }) => secretEnv !== undefined || secretFile !== undefined, {
    message: 'name the place of the key: secretEnv or secretFile'
  })

export const alarms = z.strictObject({ webhook: webhook.optional() }).prefault({})

export type WebhookConfig = z.infer<typeof webhook>
