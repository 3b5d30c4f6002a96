// The environment as a plain object, for what looks into it all the time.

/**
 * From now on `process.env` is a copy. drachtio-srf looks a variable up for each header field of each message, and each
 * look would go to the system: 3 % of a call.
 */
export function keepEnvironment(): void {
  process.env = { ...process.env }
}
