import { readFileSync, statSync } from "node:fs"
import { Config, ConfigError, Duration, Effect, Either, Option, Redacted } from "effect"

/** How to read what stands in a variable. The problem on the left never repeats it. */
type Parser<A> = (value: string) => Either.Either<A, string>

/** The bounds of a number, inclusive, in its unit on the wire. */
interface Bounds {
  readonly min?: number
  readonly max?: number
  readonly unsigned?: true
}

/** A variable that must be given. */
function required<A>(name: string, parse: Parser<A>, value = variable(name)): Config.Config<A> {
  return Config.mapOrFail(value, (given) =>
    given === "" ? Either.left(ConfigError.MissingData([name], "is required")) : parsed(name, parse, given))
}

/** A variable that may be left out. */
function optional<A>(name: string, parse: Parser<A>, value = variable(name)): Config.Config<Option.Option<A>> {
  return Config.mapOrFail(value, (given) =>
    given === "" ? Either.right(Option.none()) : Either.map(parsed(name, parse, given), Option.some))
}

/** A variable that has a default, written as it would be on the wire. */
function defaulted<A>(name: string, otherwise: string, parse: Parser<A>): Config.Config<A> {
  return Config.mapOrFail(variable(name), (given) => parsed(name, parse, given === "" ? otherwise : given))
}

/** A secret that must be given, in NAME or in the file that NAME_FILE names. */
function requiredSecret(name: string): Config.Config<Redacted.Redacted> {
  return required(name, redacted, variableOrFile(name))
}

/** A secret that may be left out. */
function optionalSecret(name: string): Config.Config<Option.Option<Redacted.Redacted>> {
  return optional(name, redacted, variableOrFile(name))
}

/** The variant that a variable names; the others are not read. */
function choice<A>(
  name: string,
  otherwise: string | undefined,
  variants: { readonly [word: string]: Effect.Effect<A, ConfigError.ConfigError> }
): Effect.Effect<A, ConfigError.ConfigError> {
  return Effect.flatMap(variable(name), (given) => {
    const word = given === "" ? otherwise : given
    const words = Object.keys(variants).join(", ")
    if (word === undefined) {
      return Effect.fail(ConfigError.MissingData([name], `is required: one of ${words}`))
    }
    const variant = Object.hasOwn(variants, word) ? variants[word] : undefined
    return variant ?? Effect.fail(ConfigError.InvalidData([name], `must be one of ${words}`))
  })
}

/** The one variant of which a variable is given. */
function exactlyOne<A>(
  variants: ReadonlyArray<{
    readonly given: readonly [string, ...ReadonlyArray<string>]
    readonly read: Effect.Effect<A, ConfigError.ConfigError>
  }>
): Effect.Effect<A, ConfigError.ConfigError> {
  const isGiven = (names: ReadonlyArray<string>) =>
    Effect.map(Config.all(names.map(variable)), (values) => values.some((value) => value !== ""))
  return Effect.flatMap(Effect.filter(variants, ({ given }) => isGiven(given)), ([one, ...others]) => {
    const names = variants.map(({ given }) => given[0])
    if (one === undefined) {
      return Effect.fail(ConfigError.MissingData(names.slice(0, 1), `needs exactly one of ${names.join(", ")}, 0 given`))
    }
    const problem = `needs exactly one of ${names.join(", ")}, ${others.length + 1} given`
    return others.length === 0 ? one.read : Effect.fail(ConfigError.InvalidData([one.given[0]], problem))
  })
}

/** Everything that is wrong with a group. */
function together(errors: {
  readonly [field: string]: Option.Option<ConfigError.ConfigError>
}): ConfigError.ConfigError {
  return Object.values(errors).flatMap(Option.toArray).reduce((left, right) => ConfigError.And(left, right))
}

function parsed<A>(name: string, parse: Parser<A>, given: string): Either.Either<A, ConfigError.ConfigError> {
  return Either.mapLeft(parse(given), (problem) => ConfigError.InvalidData([name], problem))
}

/** What a variable holds: nothing when it is unset. */
function variable(name: string): Config.Config<string> {
  return Config.withDefault(Config.string(name), "")
}

/** What a variable or the file that NAME_FILE names holds. */
function variableOrFile(name: string): Config.Config<string> {
  return Config.mapOrFail(Config.all([variable(name), variable(`${name}_FILE`)]), ([value, file]) => {
    if (file === "") {
      return Either.right(value)
    }
    if (value !== "") {
      return Either.left(ConfigError.InvalidData([name], `is given twice: drop it or ${name}_FILE`))
    }
    return Either.mapLeft(content(file), (problem) =>
      ConfigError.InvalidData([name], `reading the file that ${name}_FILE names: ${problem}`))
  })
}

/** What a file holds, less one newline at its end. */
function content(path: string): Either.Either<string, string> {
  try {
    const file = statSync(path)
    if (!file.isFile()) { // a pipe would block, a device never end
      return Either.left("not a regular file")
    }
    if (file.size > 1024 * 1024) {
      return Either.left("larger than 1 MiB")
    }
    return Either.right(readFileSync(path, "utf8").replace(/\r?\n?$/, ""))
  } catch (error) { // its code alone: the path may be a secret put in the wrong variable
    return Either.left(error instanceof Error && "code" in error ? String(error.code) : "unreadable")
  }
}

function text(value: string): Either.Either<string, string> {
  return Either.right(value)
}

function redacted(value: string): Either.Either<Redacted.Redacted, string> {
  return Either.right(Redacted.make(value))
}

function oneOf<const Words extends ReadonlyArray<string>>(...words: Words): Parser<Words[number]> {
  return (value) => {
    const found = words.find((word) => word === value)
    return found === undefined ? Either.left(`must be one of ${words.join(", ")}`) : Either.right(found)
  }
}

function boolean(value: string): Either.Either<boolean, string> {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(value)) {
    return Either.right(true)
  }
  if (["0", "f", "F", "FALSE", "false", "False"].includes(value)) {
    return Either.right(false)
  }
  return Either.left("must be true or false")
}

function integer(bounds: Bounds = {}): Parser<number> {
  return (value) => {
    const read = Number(value) + 0 // -0 is 0
    return (bounds.unsigned ? /^[0-9]+$/ : /^[+-]?[0-9]+$/).test(value) && Number.isSafeInteger(read)
      ? within(read, bounds)
      : Either.left("must be an integer in range")
  }
}

function number(bounds: Bounds = {}): Parser<number> {
  return (value) => {
    const read = Number(value) + 0
    return /^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$/.test(value) && Number.isFinite(read)
      ? within(read, bounds)
      : Either.left("must be a number")
  }
}

/** A whole number of a unit. */
function duration(unit: "ms" | "s" | "min" | "h" | "days", bounds: Bounds = {}): Parser<Duration.Duration> {
  const millis = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, days: 86_400_000 }[unit]
  const min = Math.max(0, bounds.min ?? 0)
  const longest = Math.trunc(9_223_372_036_854 / millis) // of Go
  return (value) =>
    integer()(value).pipe(
      Either.filterOrLeft((read) => Math.abs(read) <= longest, () => "is too long a time"),
      Either.flatMap((read) => within(read, { ...bounds, min }, ` ${unit}`)),
      Either.map((read) => Duration.millis(read * millis))
    )
}

function within(read: number, { max = Infinity, min = -Infinity }: Bounds, unit = ""): Either.Either<number, string> {
  if (read < min) {
    return Either.left(`must be at least ${min}${unit}`)
  }
  return read > max ? Either.left(`must be at most ${max}${unit}`) : Either.right(read)
}

/** Five fields: minute, hour, day of month, month and day of week. */
function cron(value: string): Either.Either<string, string> {
  const months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
  const days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
  const fields: ReadonlyArray<readonly [low: number, high: number, names: ReadonlyArray<string>]> = [
    [0, 59, []],
    [0, 23, []],
    [1, 31, []],
    [1, 12, months],
    [0, 6, days]
  ]
  const valid = (range: string, [low, high, names]: (typeof fields)[number]) => {
    const parts = /^(?:[*?]|([0-9]+|[A-Z]+)(?:-([0-9]+|[A-Z]+))?)(?:\/([0-9]+))?$/i.exec(range)
    const at = (word: string) => /[0-9]/.test(word) ? Number(word) : low + names.indexOf(word.toUpperCase())
    const start = at(parts?.[1] ?? String(low))
    const end = at(parts?.[2] ?? String(start))
    return parts !== null && low <= start && start <= end && end <= high && Number(parts[3] ?? 1) > 0
  }
  const given = value.split(" ").map((field) => field.split(","))
  return given.length === fields.length && fields.every((field, i) => given[i]?.every((range) => valid(range, field)))
    ? Either.right(value)
    : Either.left("must be a schedule of five fields: minute hour day month weekday")
}
