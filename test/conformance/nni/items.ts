// Every item of the profile of TS 29.165 Rel-16 that the border is held to, by its name in docs/nni-conformance.md.

const series = (name: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, index) => `${name}-${String(index + 1).padStart(2, '0')}`)

export const items: readonly string[] = [
  ...series('NNI', 11),
  ...series('PCV', 10),
  ...series('NUM', 9),
  ...series('ENUM', 6),
  ...series('RTE', 11),
  ...series('OVL', 7),
  ...series('SEC', 6),
  ...series('EMG', 5),
  ...series('STIR', 7),
  ...series('MISC', 10),
  ...series('SDP', 10)
]
