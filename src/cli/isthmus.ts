// `npx isthmus COMMAND`: every command of the product. One file a command, each on one line below.

import { Command } from 'commander'
import { messageOf } from '../errors.ts'
import { agingCommand } from './aging.ts'
import { clearingCommand } from './clearing.ts'
import { disputeCommand } from './dispute.ts'
import { fraudCommand } from './fraud.ts'
import { creditCommand } from './credit.ts'
import { fxCommand } from './fx.ts'
import { invoiceCommand } from './invoice.ts'
import { ledgerCommand } from './ledger.ts'
import { matrixCommand } from './matrix.ts'
import { nettingCommand } from './netting.ts'
import { nniCommand } from './nni.ts'
import { paymentCommand } from './payment.ts'
import { privacyCommand } from './privacy.ts'
import { ratesCommand } from './rates.ts'
import { reconcileCommand } from './reconcile.ts'
import { rateCommand, rerateCommand, suspenseCommand } from './rerate.ts'
import { settlementCommand } from './settlement.ts'
import { statementCommand } from './statement.ts'

const commands: readonly (() => Command)[] = [
  agingCommand,
  clearingCommand,
  disputeCommand,
  fraudCommand,
  creditCommand,
  fxCommand,
  invoiceCommand,
  ledgerCommand,
  matrixCommand,
  nettingCommand,
  nniCommand,
  paymentCommand,
  rateCommand,
  privacyCommand,
  ratesCommand,
  reconcileCommand,
  rerateCommand,
  settlementCommand,
  statementCommand,
  suspenseCommand
]

/** Errors and exit codes are the same all the way down. */
export function adopt(parent: Command, command: Command): void {
  parent.addCommand(command.copyInheritedSettings(parent))
  for (const child of command.commands) child.copyInheritedSettings(command)
}

/** The program with all commands; exit codes: 0 done, 1 could not, 2 bad arguments. */
export function program(): Command {
  const all = new Command('isthmus')
    .description('the interconnect hub between communication islands and the phone network')
    .showHelpAfterError('(--help explains)')
    .exitOverride(error => {
      process.exit(error.exitCode === 0 ? 0 : 2)
    })
  for (const make of commands) adopt(all, make())
  return all
}

if (import.meta.main) {
  try {
    await program().parseAsync()
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`)
    process.exitCode = 1
  }
}
