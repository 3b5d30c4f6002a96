// The NNI through drachtio-srf in memory, as the hub does unless it is told otherwise: what the tests of both directions
// say holds there too.

import { borderDefaults } from '../support/nni-border.ts'

borderDefaults.link = 'srf-in-memory'
await import('./inbound.test.ts')
await import('./outbound.test.ts')
