// Sources are TypeScript modules run as they are: swc strips the types, nothing is transpiled to CommonJS.
const jest = {
  roots: ['<rootDir>/test'],
  testMatch: ['**/*.test.ts'],
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': ['@swc/jest', { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'es6' } }]
  },
  modulePathIgnorePatterns: ['<rootDir>/data', '<rootDir>/.cache'],
  testTimeout: 90_000,
  maxWorkers: 2
}
export default jest
