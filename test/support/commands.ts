// Commands run in this process: a new one for every command would take most of the time of their tests.

import { jest } from '@jest/globals'
import { Command, CommanderError } from 'commander'
import { adopt } from '../../src/cli/isthmus.ts'

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** What these commands, among all of the product, do with the arguments: exit code, output and what went wrong. */
export async function runCommands(commands: readonly (() => Command)[], args: readonly string[]): Promise<Ran> {
  let [out, err] = ['', '']
  const write = jest.spyOn(process.stdout, 'write').mockImplementation((text: string | Uint8Array) => {
    out += String(text)
    return true
  })
  const all = new Command('isthmus').exitOverride().configureOutput({ writeErr: text => void (err += text) })
  for (const make of commands) adopt(all, make())
  process.exitCode = undefined
  try {
    await all.parseAsync(args, { from: 'user' })
    return { code: process.exitCode === undefined ? 0 : 1, out, err }
  } catch (error) {
    const code = error instanceof CommanderError ? (error.exitCode === 0 ? 0 : 2) : 1
    return { code, out, err: err + (error as Error).message }
  } finally {
    process.exitCode = undefined
    write.mockRestore()
  }
}
