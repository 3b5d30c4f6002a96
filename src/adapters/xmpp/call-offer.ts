// What a new offer of the hub's changes in a session: added, removed and turned contents, hold, new credentials. Pure.

import { namesOf } from './call-media.ts'
import type { Media } from './call-model.ts'
import { directionOf, isLive, valueOf } from '../../session/sdp.ts'
import type { SdpDescription, SdpSection } from '../../session/sdp.ts'

/** What the hub's new offer changes in the session. */
export interface Changes {
  readonly adding: readonly string[]
  readonly removing: readonly string[]
  /** Pictures that flow another way, for a reason that is no hold. */
  readonly turning: readonly string[]
  readonly hold: boolean | null
  readonly restarting: boolean
}

export function changesOf({ local, held, holding }: Media, offered: SdpDescription): Changes {
  const names = namesOf(offered)
  const pairs = names.map((name, index) => ({ name, before: local.sections[index], now: offered.sections[index] }))
  const lives = (section: SdpSection | undefined): boolean => section !== undefined && isLive(section)
  const staying = pairs.filter(({ before, now }) => lives(before) && lives(now))
  const holds = isHeld(offered)
  const turns = ({ before, now }: (typeof pairs)[number]): boolean =>
    now?.kind !== 'audio' && wayOf(before, local) !== wayOf(now, offered)
  return {
    adding: pairs.filter(({ before, now }) => !lives(before) && lives(now)).map(({ name }) => name),
    removing: pairs.filter(({ before, now }) => lives(before) && !lives(now)).map(({ name }) => name),
    turning: held || holding || holds ? [] : staying.filter(turns).map(({ name }) => name),
    hold: holding === holds ? null : holds,
    restarting: staying.some(({ before, now }) => {
      const [was, is] = [before, now].map(section => valueOf(section?.lines ?? [], 'ice-ufrag'))
      return is !== null && was !== is
    })
  }
}
const wayOf = (section: SdpSection | undefined, { session }: SdpDescription): string =>
  section === undefined ? 'inactive' : directionOf(section, session)

/** Nothing that is said is to be answered with sound or pictures: the other side holds. */
function isHeld({ session, sections }: SdpDescription): boolean {
  const live = sections.filter(isLive)
  const audio = live.filter(({ kind }) => kind === 'audio')
  const directions = (audio.length > 0 ? audio : live).map(section => directionOf(section, session))
  return directions.length > 0 && directions.every(way => way === 'sendonly' || way === 'inactive')
}
