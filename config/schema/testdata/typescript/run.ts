// Reads environments from stdin, a JSON array, and writes what each loads as:
// { values } by path, what is unset left out, or { error }, the printed error;
// shown is all that printing the settings shows. Without environments it loads
// that of its own process.
import { readFileSync } from "node:fs"
import { format, inspect } from "node:util"
import { Cause, Duration, Effect, Exit, Option, Redacted } from "effect"
import { load } from "./package/index.js"

function flatten(value: unknown, path: string, into: Record<string, unknown>): Record<string, unknown> {
  if (Option.isOption(value)) {
    return Option.isSome(value) ? flatten(value.value, path, into) : into
  }
  if (Redacted.isRedacted(value)) {
    into[path] = Redacted.value(value)
  } else if (Duration.isDuration(value)) {
    into[path] = Duration.toMillis(value)
  } else if (typeof value === "object" && value !== null) {
    for (const [key, inner] of Object.entries(value)) {
      flatten(inner, path === "" ? key : `${path}.${key}`, into)
    }
  } else {
    into[path] = Object.is(value, -0) ? "-0" : value
  }
  return into
}

function show(value: unknown): string {
  const deep = inspect(value, { depth: null, showHidden: true, getters: true })
  return [String(value), JSON.stringify(value), inspect(value), deep, format("%s %o %O %j", value, value, value, value)].join("\n")
}

function run(): unknown {
  const exit = Effect.runSyncExit(load)
  return Exit.match(exit, {
    onSuccess: (settings) => ({ values: flatten(settings, "", {}), shown: show(settings) }),
    onFailure: (cause) => ({ error: Cause.pretty(cause), shown: [show(cause), ...Array.from(Cause.failures(cause), show)].join("\n") })
  })
}

const input = readFileSync(0, "utf8")
const environments: ReadonlyArray<Record<string, string>> | undefined = input === "" ? undefined : JSON.parse(input)
console.log(JSON.stringify(environments === undefined ? [run()] : environments.map((environment) => {
  process.env = environment
  return run()
})))
