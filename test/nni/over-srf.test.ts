// The NNI over drachtio-srf, as with a drachtio-server: what the tests of both directions say holds there too.

import { borderDefaults } from '../support/nni-border.ts'

borderDefaults.link = 'drachtio-srf'
await import('./inbound.test.ts')
await import('./outbound.test.ts')
