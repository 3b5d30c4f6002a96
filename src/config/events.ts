// Where records go: the journal every hub has, and Kafka where it is configured.

import { z } from 'zod'
import { id } from './basics.ts'

const broker = z.string().regex(/^(\[[0-9a-fA-F:]+\]|[^\s:/]+):[0-9]{1,5}$/, 'a broker such as kafka-1.example:9092')

const sasl = z
  .strictObject({
    mechanism: z.enum(['scram-sha-256', 'scram-sha-512']).default('scram-sha-512'),
    username: z.string().min(1),
    /** The place of the password; a file goes before the environment. */
    passwordEnv: z.string().optional(),
    passwordFile: z.string().optional()
  })
  .refine(({ passwordEnv, passwordFile }) => passwordEnv !== undefined || passwordFile !== undefined, {
    message: 'name the place of the password: passwordEnv or passwordFile'
  })

const fields = z.strictObject({
  brokers: z.array(broker).min(1),
  /** Present: TLS. The system's authorities unless `caFile` names others. */
  tls: z
    .strictObject({ caFile: z.string().optional(), certFile: z.string().optional(), keyFile: z.string().optional() })
    .optional(),
  sasl: sasl.optional(),
  /** Processes of one group share the partitions. */
  group: id.default('isthmus-clearing'),
  /** Of each topic, made where it is missing. */
  partitions: z.int().min(1).max(1_000).default(6),
  replicationFactor: z.int().min(1).max(9).default(3),
  /** Copies that must have a record before it counts as kept. */
  minInsync: z.int().min(1).max(9).default(2),
  retentionHours: z.int().min(1).max(87_600).default(720),
  /** Charges and rejected records are told to topics of their own. */
  publish: z.boolean().default(true)
})

export const kafka = fields.refine(({ minInsync, replicationFactor }) => minInsync <= replicationFactor, {
  message: 'minInsync asks for more copies than replicationFactor makes'
})

export const events = z
  .strictObject({
    /** Slots of 4 KiB in the preallocated journal; a call needs its worst case free before it may start. */
    journalSlots: z.int().min(64).max(1_048_576).default(22_528),
    heartbeatMs: z.int().min(100).default(5_000),
    /** Absent: the event log is a table of the database. */
    kafka: kafka.optional()
  })
  .prefault({})

export type KafkaConfig = z.infer<typeof kafka>
