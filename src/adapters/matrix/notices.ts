// What a ghost says in a room on the hub's behalf, for people.

const quoteCharactersMax = 120

const quoted = (text: string): string => {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > quoteCharactersMax ? `${line.slice(0, quoteCharactersMax - 1)}…` : line
}

export const notices = {
  encrypted:
    'This room is encrypted, and the phone network cannot read it: nothing you write here is delivered. ' +
    'Start a new, unencrypted chat with this contact.',
  encryptedCall: 'This room is encrypted: calls from it cannot reach the phone network. Call from an unencrypted chat.',
  crowd:
    'There are several phone contacts in this room: nothing you write here is delivered, and no call goes out. ' +
    'Use a direct chat with each of them.',
  undelivered: (why: string): string => `Your message was not delivered: ${why}.`,
  uncertain:
    'The service was interrupted while this message was on its way: it may not have been delivered. ' +
    'Send it again if you get no answer.',
  callFailed: (why: string): string => `The call did not go through: ${why}.`,
  callEnded: (why: string): string => `The call has ended: ${why}.`,
  missed: 'You missed a call.',
  /** No device has said anything: perhaps none could ring. */
  unheard:
    'You missed a call. If nothing rang: clients that know Element Call (MatrixRTC) alone, such as Element X, ' +
    'cannot take calls from the phone network. Use a client with classic calls.',
  otherCall:
    'Calls of this kind (Element Call, MatrixRTC) cannot reach the phone network. ' +
    'Use a client with classic calls in direct chats.',
  /** To a phone. */
  takenBack: (was: string): string => `[taken back: “${quoted(was)}”]`
} as const
