// Who speaks: digest for every REGISTER, and for any other request whose connection is not registered as its From.

import type { Clock } from '../../session/ports.ts'
import { createDigestServer } from '../../sip/digest-server.ts'
import type { Challenge, DigestServer } from '../../sip/digest-server.ts'
import { parseNameAddr } from '../../sip/message.ts'
import type { SipRequest } from '../../sip/message.ts'
import { parseUri } from '../../sip/uri.ts'
import type { SipUri } from '../../sip/uri.ts'
import { line, refuseWith } from './answer.ts'
import type { Answer } from './answer.ts'
import type { Connection } from './connection.ts'
import { isAnonymous, userAddress } from './identity.ts'
import type { Account, UserConfig } from './identity.ts'
import type { Limits } from './limits.ts'
import type { Registrar } from './registrar.ts'

export type Proof = { readonly account: Account } | Answer

export interface AuthenticationParts {
  readonly accounts: ReadonlyMap<string, Account>
  readonly registrar: Registrar
  readonly limits: Limits
  readonly clock: Clock
  readonly passwordOf: (user: UserConfig) => string
}

interface Realm {
  readonly registrar: DigestServer
  readonly proxy: DigestServer
}

const notYours = refuseWith(403, 'this is not the identity that is registered here')
const registerFirst = refuseWith(403, 'register first, then call anonymously')
const notHere = refuseWith(403, 'users of this domain cannot be reached from here')
const wrongPassword = refuseWith(403, 'wrong user name or password')

export class Authentication {
  readonly #parts: AuthenticationParts
  readonly #passwords: ReadonlyMap<Account, string>
  readonly #realms = new Map<string, Realm>()

  /** Throws HUB_CONFIG for a password that is not where the configuration says. */
  constructor(parts: AuthenticationParts) {
    this.#parts = parts
    const { accounts, passwordOf, clock } = parts
    this.#passwords = new Map([...accounts.values()].map(account => [account, passwordOf(account.user)]))
    const now = (): number => clock.now()
    for (const { island } of accounts.values()) {
      const realm = island.domain.toLowerCase()
      if (this.#realms.has(realm)) continue
      this.#realms.set(realm, {
        registrar: createDigestServer({ realm, role: 'registrar', now }),
        proxy: createDigestServer({ realm, role: 'proxy', now })
      })
    }
  }

  /** A REGISTER always proves itself, and only for its own address (third parties have no business here). */
  registering(request: SipRequest, connection: Connection): Proof {
    const [to, from] = [addressIn(request, 'To'), addressIn(request, 'From')]
    if (to === null || userAddress(to) !== userAddress(from)) return notYours
    return this.#challenged(request, connection, to, 'registrar')
  }

  /** Any other request: by registration of the connection, else by digest. */
  calling(request: SipRequest, connection: Connection): Proof {
    const { accounts, registrar } = this.#parts
    const from = addressIn(request, 'From')
    const here = registrar.accountsOn(connection.flow)
    // Who wants to be nobody is known by the connection, and may say which of its users by a preferred identity.
    const claimed = isAnonymous(from) ? null : from
    const preferred = addressIn(request, 'P-Preferred-Identity')
    const speaker = claimed ?? preferred
    if (speaker === null) {
      const [only] = here
      return only === undefined ? registerFirst : { account: only }
    }
    if (claimed !== null && preferred !== null && userAddress(claimed) !== userAddress(preferred)) return notYours
    const account = accounts.get(userAddress(speaker) ?? '')
    if (account !== undefined && here.includes(account)) return { account }
    if (here.length > 0 && !request.headers.has('Proxy-Authorization')) return notYours
    return this.#challenged(request, connection, speaker, 'proxy')
  }

  #challenged(request: SipRequest, connection: Connection, speaker: SipUri, role: keyof Realm): Proof {
    const { accounts, limits } = this.#parts
    const realm = connection.socket.domains.has(speaker.host) ? this.#realms.get(speaker.host) : undefined
    if (realm === undefined) return notHere
    const verdict = realm[role].verify(request, username => this.#passwordAt(`sip:${username}@${speaker.host}`))
    if (verdict.ok) {
      const account = accounts.get(userAddress(speaker) ?? '')
      if (account?.user.name !== verdict.username) return notYours
      connection.prove()
      return { account }
    }
    switch (verdict.why) {
      case 'malformed':
        return refuseWith(400, 'the credentials are malformed')
      case 'wrong':
        connection.credentialsWrong += 1
        if (connection.credentialsWrong >= limits.credentialsWrongMax) {
          connection.socket.close(1008, 'too many wrong passwords')
        }
        return wrongPassword
      default:
        return asking(verdict.challenge)
    }
  }

  #passwordAt(address: string): string | null {
    const account = this.#parts.accounts.get(address)
    return account === undefined ? null : (this.#passwords.get(account) ?? null)
  }
}

const asking = ({ status, name, values }: Challenge): Answer => ({
  status,
  headers: values.map(value => line(name, value))
})

function addressIn({ headers }: SipRequest, field: string): SipUri | null {
  const uri = parseUri(parseNameAddr(headers.get(field) ?? '')?.uri ?? '')
  return uri?.scheme === 'sip' || uri?.scheme === 'sips' ? uri : null
}
