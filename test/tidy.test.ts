// The house rules a formatter cannot see. Breaking one fails `npm test` with the file, the line and the reason.

import { describe, it } from '@jest/globals'
import { deepEqual as equal } from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { parseSync } from 'oxc-parser'

const root = join(import.meta.dirname, '..')

/** Who may import whom, by longest prefix. A folder may always import itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  'src/session': [],
  'src/sip': [],
  'src/sip/engine': ['src/sip'],
  'src/media': ['src/session'],
  'src/routing': ['src/session', 'src/store'],
  'src/qos-policy': ['src/session'],
  'src/nni': ['src/session', 'src/sip'],
  'src/adapters/sip-ws': ['src/session', 'src/sip'],
  'src/adapters/xmpp': ['src/session', 'src/store'],
  'src/adapters/matrix': ['src/session', 'src/store'],
  'src/store': [],
  'src/events': ['src/session', 'src/store'],
  'src/clearing': ['src/session', 'src/store', 'src/events'],
  'src/sandbox': ['src/session', 'src/sip'],
  'src/cli': ['src'],
  src: ['src']
}
/** Leaf files that every folder but the core may import. */
const leaves = new Set([
  'src/config.ts',
  'src/log.ts',
  'src/errors.ts',
  'src/metrics.ts',
  'src/memory.ts',
  'src/uuid.ts'
])
const isLeaf = (file: string): boolean => leaves.has(file) || file.startsWith('src/config/')
/** Inside the core even the platform is rationed: no I/O reaches it. */
const coreMayUse = new Set(['node:assert', 'node:crypto'])
/** Only these may write to the terminal: they are commands. */
const mayPrint = (file: string): boolean => file.startsWith('src/cli/') || file === 'src/sandbox/cli.ts'

/** `environment.ts` only copies it. */
const mayReadEnvironment = new Set(['src/config.ts', 'src/environment.ts'])

const fileLinesMax = 400
const functionLinesMax = 70
const lineWidthMax = 120

const files = [...globSync('src/**/*.ts', { cwd: root })].map(path => path.split(sep).join('/')).sort()

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [key: string]: unknown
}

interface Source {
  readonly file: string
  readonly text: string
  readonly lines: readonly string[]
  readonly nodes: readonly Node[]
  readonly imports: readonly { readonly from: string; readonly line: number; readonly typeOnly: boolean }[]
  readonly lineOf: (offset: number) => number
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as Node).type === 'string'

function read(file: string): Source {
  const text = readFileSync(join(root, file), 'utf8')
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  const lineOf = (offset: number): number => starts.findLastIndex(start => start <= offset) + 1
  const { program } = parseSync(file, text)
  const nodes: Node[] = []
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) return value.forEach(visit)
    if (!isNode(value)) return
    nodes.push(value)
    Object.values(value).forEach(visit)
  }
  visit(program)
  const imports = nodes.flatMap(node => {
    const from = node['source']
    if (!/^(Import|ExportNamed|ExportAll)Declaration$|^ImportExpression$/.test(node.type) || !isNode(from)) return []
    const typeOnly = node['importKind'] === 'type' || node['exportKind'] === 'type'
    return [{ from: String(from['value']), line: lineOf(node.start), typeOnly }]
  })
  return { file, text, lines: text.split('\n'), nodes, imports, lineOf }
}

const sources = files.map(read)
const resolved = (file: string, from: string): string =>
  relative(root, join(root, dirname(file), from))
    .split(sep)
    .join('/')
const folderOf = (file: string): string =>
  Object.keys(mayImport)
    .filter(folder => file.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0] ?? 'src'

describe('the house rules', () => {
  it('imports point inward, edges never touch each other, every import is a file', () => {
    equal(
      sources.flatMap(({ file, imports }) =>
        imports.flatMap(({ from, line }) => {
          const here = folderOf(file)
          if (!from.startsWith('.')) {
            return here === 'src/session' && !coreMayUse.has(from)
              ? [`${file}:${line} the core may not use ${from}`]
              : []
          }
          const target = resolved(file, from)
          if (!existsSync(join(root, target))) return [`${file}:${line} there is no ${target}`]
          const there = folderOf(target)
          if (here === there || (isLeaf(target) && here !== 'src/session')) return []
          // A test of what belongs to the composition: only it, and the commands, may import everything.
          if ((here === 'src' && !isLeaf(file)) || here === 'src/cli') return []
          return mayImport[here]?.includes(there) ? [] : [`${file}:${line} ${here} may not import ${there}`]
        })
      ),
      []
    )
  })

  it('no import cycles', () => {
    const graph = new Map(
      sources.map(({ file, imports }) => [
        file,
        imports.filter(i => i.from.startsWith('.') && !i.typeOnly).map(({ from }) => resolved(file, from))
      ])
    )
    const done = new Set<string>()
    const cycles: string[] = []
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) return void cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
      if (done.has(file)) return
      for (const next of graph.get(file) ?? []) visit(next, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
    equal(cycles, [])
  })

  it('files, functions and lines keep to their sizes', () => {
    const found = sources.flatMap(({ file, lines, nodes, lineOf }) => [
      ...(lines.length > fileLinesMax + 1 ? [`${file} has ${lines.length - 1} lines`] : []),
      ...lines.flatMap((line, n) => (line.length > lineWidthMax ? [`${file}:${n + 1} is ${line.length} wide`] : [])),
      ...nodes.flatMap(node => {
        if (!/^(FunctionDeclaration|FunctionExpression|ArrowFunctionExpression)$/.test(node.type)) return []
        const length = lineOf(node.end) - lineOf(node.start) + 1
        return length > functionLinesMax ? [`${file}:${lineOf(node.start)} a function of ${length} lines`] : []
      })
    ])
    equal(found, [])
  })

  it('no any, no default exports, no barrels, no enums, no console outside commands, no environment outside config', () => {
    equal(
      sources.flatMap(({ file, nodes, lineOf }) => {
        const found = file.endsWith('/index.ts') ? [`${file} is a barrel`] : []
        for (const node of nodes) {
          const say = (what: string): void => void found.push(`${file}:${lineOf(node.start)} ${what}`)
          if (node.type === 'TSAnyKeyword') say('any')
          if (node.type === 'ExportDefaultDeclaration') say('default export')
          if (node.type === 'TSEnumDeclaration') say('enum')
          if (node.type === 'TSNonNullExpression') say('! outside tests')
          if (node.type !== 'MemberExpression') continue
          const [object, property] = [node['object'], node['property']]
          const name = isNode(object) && object.type === 'Identifier' ? object['name'] : null
          if (name === 'console' && !mayPrint(file)) say('console')
          const env = isNode(property) && property['name'] === 'env'
          if (name === 'process' && env && !mayReadEnvironment.has(file)) say('process.env outside config.ts')
        }
        return found
      }),
      []
    )
  })

  it('each file says in its first line what it is for', () => {
    equal(
      sources.filter(({ text }) => !text.startsWith('// ')).map(({ file }) => file),
      []
    )
  })

  it('each source that decides something has a test beside it, or says why not', () => {
    const untested = files.filter(file => {
      const mirror = file.replace(/^src\//, 'test/').replace(/\.ts$/, '.test.ts')
      const folder = dirname(mirror)
      return !existsSync(join(root, mirror)) && globSync(`${folder}/**/*.test.ts`, { cwd: root }).length === 0
    })
    const typesOrRims = new Set(['src/errors.ts', 'src/log.ts', 'src/main.ts'])
    equal(
      // `config/` is seen through config.ts.
      untested.filter(file => !typesOrRims.has(file) && !file.startsWith('src/config/')),
      []
    )
  })

  it('a test that starts a program nobody here wrote names it, so that it is installed', () => {
    const programs: Readonly<Record<string, RegExp>> = {
      sipp: /\b(startSipp|runSipp)\b/,
      chromium: /support\/browser(-media)?\.ts/,
      rtpengine: /\bstartRtpengine\b/,
      knot: /support\/dns-server\.ts/,
      openssl: /support\/(certificates|stir-ca)\.ts/,
      secsipidx: /support\/secsipidx\.ts/,
      kafka: /support\/kafka\.ts/,
      prosody: /support\/(prosody|xmpp-world)\.ts/,
      ejabberd: /support\/(ejabberd|xmpp-world)\.ts/
    }
    const tests = [...globSync('test/**/*.test.ts', { cwd: root })].filter(file => file !== 'test/tidy.test.ts')
    equal(
      tests.flatMap(file => {
        const text = readFileSync(join(root, file), 'utf8')
        const [, named = ''] = /^\/\/ needs: (.+)$/m.exec(text) ?? []
        const used = Object.keys(programs).filter(name => programs[name]?.test(text))
        return used.filter(name => !named.split(' ').includes(name)).map(name => `${file} starts ${name}`)
      }),
      []
    )
  })

  it('nothing in the repository names a place outside it', () => {
    const tracked = [
      ...globSync('{src,test,scripts,docs,.ci,*.md,*.json,*.mjs,*.yaml}/**/*', { cwd: root }),
      ...globSync('*.{md,json,mjs,yaml}', { cwd: root })
    ].filter(
      file => /\.(ts|md|mjs|json|yaml|sh)$/.test(file) && !file.includes('fixtures') && !file.includes('node_modules')
    )
    const outside = new RegExp(['\\.\\./[s]hared', '/[w]ork/', '\\.[l]ibrary'].join('|'))
    equal(
      tracked.filter(file => outside.test(readFileSync(join(root, file), 'utf8'))),
      []
    )
  })
})
