// How a number is written so that both sides write it the same: digits without a sign, or the name of a user.

import { isE164 } from '../../session/dial-plan.ts'

/** The same as `normalisedSql` does in the database. */
export function normalised(text: string): string {
  // As nearly all numbers of records are.
  if (isE164(text)) return text.slice(1)
  const bare = text
    .trim()
    .toLowerCase()
    .replace(/^(tel:|sips?:)?\+?/, '')
    .replace(/[;@?].*$/, '')
  const digits = bare.replaceAll(/[ ().-]/g, '')
  // The international prefix of most countries (ITU-T E.164, E.123).
  return /^[0-9]+$/.test(digits) ? digits.replace(/^00/, '') : bare
}

/** Numbers in our records have neither separators nor an international prefix. */
export const normalisedSql = (column: string): string =>
  `regexp_replace(regexp_replace(lower(${column}), '^(tel:|sips?:)?\\+?', ''), '[;@?].*$', '')`
