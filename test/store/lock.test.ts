import { afterAll, describe, expect, it } from '@jest/globals'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { isLocked, takeLock } from '../../src/store/lock.ts'
import { openTempDir } from '../support/database.ts'

const folder = openTempDir()
afterAll(() => rmSync(folder, { recursive: true }))

const options = () => ({ file: join(folder, 'lock'), what: 'the thing', code: 'HUB_JOURNAL' }) as const

describe('a lock', () => {
  it('has one holder, whom the refusal names', () => {
    const at = options()
    const lock = takeLock(at)
    expect(() => takeLock(at)).toThrow(`the thing is in use by another process (pid ${process.pid})`)
    expect(isLocked(at)).toBe(true)
    lock.release()
    lock.release()
    expect(isLocked(at)).toBe(false)
    takeLock(at).release()
  })

  it('in a folder that does not exist is a clear error', () => {
    expect(() => takeLock({ ...options(), file: '/nonexistent/lock' })).toThrow('cannot open the lock file')
  })
})
