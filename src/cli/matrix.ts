// `isthmus matrix`: what a provider with a homeserver needs.

import { Command } from 'commander'
import { publicUrlOf, registrationOf } from '../adapters/matrix/registration.ts'
import { linkSecretOf, readConfig } from '../config.ts'
import type { Config, MatrixIslandConfig } from '../config.ts'
import { HubError } from '../errors.ts'

const after = `
Add the file to the homeserver's application services (Synapse: app_service_config_files) and restart it.
The tokens come from where the configuration says; keep the file as secret as they are.`

function islandOf({ islands }: Config, id: string | undefined): MatrixIslandConfig {
  const known = islands.filter(island => island.access === 'matrix')
  const names = known.map(island => island.id).join(', ')
  if (known.length === 0) throw new HubError('HUB_CONFIG', 'the configuration has no island with access: matrix')
  if (id === undefined && known.length > 1) throw new HubError('HUB_CONFIG', `say which island: ${names}`)
  const found = id === undefined ? known[0] : known.find(island => island.id === id)
  if (found === undefined) throw new HubError('HUB_CONFIG', `no Matrix island is called ${id}; there is ${names}`)
  return found
}

/** The registration of one island, as a text. Throws HUB_CONFIG. */
export function registrationText(config: Config, id: string | undefined): string {
  const { id: islandId, domain, ghostPrefix, asToken, hsToken } = islandOf(config, id)
  if (config.matrix.publicUrl === undefined && config.matrix.port === 0) {
    throw new HubError(
      'HUB_CONFIG',
      'matrix.port is 0 and matrix.publicUrl is not set: the homeserver could not find the hub'
    )
  }
  return registrationOf({
    islandId,
    domain,
    ghostPrefix,
    url: publicUrlOf(config.matrix, config.matrix.port),
    asToken: linkSecretOf(asToken),
    hsToken: linkSecretOf(hsToken)
  })
}

export const matrixCommand = (): Command =>
  new Command('matrix').description('Matrix islands').addCommand(
    new Command('registration')
      .description('print the registration file of an island, for its homeserver')
      .argument('[island]', 'its id; needed where there are several')
      .option('--config <file>', 'the configuration of the hub', 'isthmus.yaml')
      .addHelpText('after', after)
      .action((island: string | undefined, { config }: { readonly config: string }) => {
        process.stdout.write(registrationText(readConfig(config), island))
      })
  )
