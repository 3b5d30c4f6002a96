// The way to Kafka: one client of kafkajs from the configuration, its log in ours, and what its errors mean to us.

import { readFileSync } from 'node:fs'
import { Kafka, logLevel } from 'kafkajs'
import type { ISocketFactory, LogEntry, RetryOptions, SASLOptions } from 'kafkajs'
import type { KafkaConfig } from '../config/events.ts'
import { HubError, messageOf } from '../errors.ts'
import type { Logger } from '../log.ts'

export const clientLimits = {
  connectMs: 5_000,
  requestMs: 10_000,
  /** Between two tries of one request; the number of tries is bounded by whoever waits for them. */
  retryMs: 100,
  retryMsMax: 1_000
} as const

/** On the client and on its producers: with the default of five, an outage of some seconds would be for good. */
export const patientRetry: RetryOptions = {
  retries: 1_000_000,
  initialRetryTime: clientLimits.retryMs,
  maxRetryTime: clientLimits.retryMsMax
}

/** For what somebody waits for: a Kafka that is away is an error after some seconds. */
export const briefRetry: RetryOptions = { ...patientRetry, retries: 5 }

export interface KafkaAccess {
  readonly config: Pick<KafkaConfig, 'brokers' | 'tls' | 'sasl'>
  /** Of `sasl`. */
  readonly password: string | null
  readonly clientId: string
  readonly log: Logger
  /** What opens connections, where that is not left to kafkajs. */
  readonly socketFactory?: ISocketFactory
  /** Patient unless named. */
  readonly retry?: RetryOptions
}

/** Connects to nothing yet. Throws HUB_CONFIG for a certificate that cannot be read. */
export function createKafkaClient({
  config,
  password,
  clientId,
  log,
  socketFactory,
  retry = patientRetry
}: KafkaAccess): Kafka {
  const { brokers, tls, sasl } = config
  return new Kafka({
    clientId,
    brokers: [...brokers],
    ...(tls === undefined ? {} : { ssl: materialOf(tls) }),
    ...(sasl === undefined ? {} : { sasl: loginOf(sasl, password ?? '') }),
    ...(socketFactory === undefined ? {} : { socketFactory }),
    connectionTimeout: clientLimits.connectMs,
    requestTimeout: clientLimits.requestMs,
    retry,
    logLevel: logLevel.WARN,
    logCreator: () => entry => tell(log, entry)
  })
}

/** Each mechanism is a type of its own to kafkajs. */
const loginOf = ({ mechanism, username }: NonNullable<KafkaConfig['sasl']>, password: string): SASLOptions =>
  mechanism === 'scram-sha-256' ? { mechanism, username, password } : { mechanism, username, password }

function materialOf({ caFile, certFile, keyFile }: NonNullable<KafkaConfig['tls']>) {
  const fileOf = (file: string): Buffer => {
    try {
      return readFileSync(file)
    } catch (cause) {
      throw new HubError('HUB_CONFIG', `cannot read ${file}: ${messageOf(cause)}`, { cause })
    }
  }
  return {
    ...(caFile === undefined ? {} : { ca: [fileOf(caFile)] }),
    ...(certFile === undefined ? {} : { cert: fileOf(certFile) }),
    ...(keyFile === undefined ? {} : { key: fileOf(keyFile) })
  }
}

/** What kafkajs calls an error it has mostly dealt with itself: whoever asked says what is one to us. */
function tell(log: Logger, { namespace, level, log: entry }: LogEntry): void {
  const { message, error } = entry
  const facts = { kafka: namespace, ...(typeof error === 'string' ? { reason: error } : {}) }
  if (level === logLevel.ERROR || level === logLevel.WARN) log.debug(facts, `kafka: ${message}`)
}

/**
 * `record`: this record can never be kept, whoever sends it. `refused`: we may not, until somebody changes that.
 * `again`: anything else.
 */
export type KafkaFault = 'record' | 'refused' | 'again'

const ofRecords = new Set(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE', 'INVALID_RECORD', 'INVALID_TIMESTAMP'])
const ofAccess = new Set([
  'TOPIC_AUTHORIZATION_FAILED',
  'GROUP_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  'SASL_AUTHENTICATION_FAILED',
  'UNSUPPORTED_SASL_MECHANISM',
  'ILLEGAL_SASL_STATE',
  'SECURITY_DISABLED'
])
const causesMax = 5

/** By the error and what it came from. */
export function faultOf(error: unknown): KafkaFault {
  let at: unknown = error
  for (let n = 0; n < causesMax && typeof at === 'object' && at !== null; n++) {
    const { type, name, cause } = at as { readonly type?: unknown; readonly name?: unknown; readonly cause?: unknown }
    if (ofRecords.has(String(type))) return 'record'
    if (ofAccess.has(String(type)) || name === 'KafkaJSSASLAuthenticationError') return 'refused'
    at = cause
  }
  return 'again'
}

/** What others see of it: retryable unless Kafka has refused us. */
export function kafkaError(doing: string, error: unknown): HubError {
  if (error instanceof HubError) return error
  const refused = faultOf(error) === 'refused'
  const why = refused ? `Kafka refuses us (${messageOf(error)}): the access list or the login must be mended` : null
  return new HubError('HUB_EVENT_LOG', `${doing}: ${why ?? messageOf(error)}`, { cause: error, retryable: !refused })
}
