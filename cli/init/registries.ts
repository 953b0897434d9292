/**
 * The registries of a new environment: which CA each has, confirmed by its fingerprint, and with which login nodes pull.
 * It pins no CA that nobody confirmed, and sends no credentials.
 */
import { parseFingerprint } from "../../certificates/identity";
import { caLimits, obtainCa } from "../../registry/ca";
import { parseImageHost } from "../../registry/host";
import type { CaSource, RegistryHost } from "../../registry/types";
import { UserError, describeProblem } from "../../support/errors";
import { seeHelp } from "../arguments";
import { certificateLines } from "../ca/describe";
import type { Shown, ShownCertificate } from "../ca/found";
import { look } from "../ca/look";
import { cliProblem } from "../problems";
import { withProgress } from "../progress";
import type { Answers } from "./answers";
import { type GivenRegistry, type Request, parseCa, parseRegistry } from "./arguments";

/** A registry as the settings have it. */
export interface RegistryDraft {
  readonly host: RegistryHost;
  readonly kind?: "harbor" | "generic" | undefined;
  readonly ca?: CaSource;
  readonly credentials?: object;
}

/**
 * The registries that there are to be: those of the options, else those of the other environment, else those that
 * somebody names at the terminal.
 */
export async function chooseRegistries(
  request: Request,
  base: readonly RegistryDraft[],
  answers: Answers,
): Promise<readonly RegistryDraft[]> {
  const known = base.map((each) => ({
    kind: "harbor" as const, // where a file says nothing
    ...each,
    host: parseImageHost(each.host, { subject: "--from" }).host,
  }));
  if (request.registries.length === 0) return known.length > 0 ? known : await askRegistries(answers);
  return request.registries.map((given) =>
    mergeRegistry(
      known.find(({ host }) => host === given.host),
      given,
    ),
  );
}

/** What the option does not say is as in the other environment. */
function mergeRegistry(base: RegistryDraft | undefined, { host, kind, ca }: GivenRegistry): RegistryDraft {
  // What is pinned of a source stays pinned; another file is another CA.
  const source = ca && (ca.from === "file" || base?.ca?.from !== ca.from) ? { ca: ca as CaSource } : {};
  return { ...base, host, ...(kind === undefined ? {} : { kind }), ...source };
}

async function askRegistries(answers: Answers): Promise<readonly RegistryDraft[]> {
  const first = await answers.value(
    "--registry HOST[,kind=KIND][,ca=CA]",
    "Registry, as in image names (host or host:port)",
    {},
  );
  const texts = first === "" ? [] : [first];
  while (texts.length > 0) {
    const next = await answers.optional("Another registry (empty: no more)");
    if (next === undefined || next === "") break;
    texts.push(next);
  }
  return texts.map((text) => mergeRegistry(undefined, parseRegistry(text, "registry")));
}

/** Completes one registry by what it serves and offers, and by what is answered. */
export async function completeRegistry(
  draft: RegistryDraft,
  request: Request,
  answers: Answers,
): Promise<RegistryDraft> {
  const { host } = draft;
  const shown = await withProgress(
    look(host, caLimits.seconds),
    () => `Asking ${host}, for at most ${caLimits.seconds} s each time`,
  );
  const kind = draft.kind ?? shown.kind ?? undefined;
  const ca = await chooseCa(draft, shown, request, answers);
  const credentials = await chooseCredentials(draft, request, answers);
  return { host, ...(kind === undefined ? {} : { kind }), ...(ca === undefined ? {} : { ca }), credentials };
}

/** @returns `undefined` where it is noted as missing. */
async function chooseCa(
  { host, ca }: RegistryDraft,
  shown: Shown,
  request: Request,
  answers: Answers,
): Promise<CaSource | undefined> {
  const pin = request.fingerprints.get(host) ?? (request.firstUse.has(host) ? undefined : ca?.sha256);
  if (ca?.from === "file" || ca?.from === "inline")
    return { ...ca, ...(pin === undefined ? {} : { sha256: pin }) };
  if (pin !== undefined) return await provePin(host, ca?.from, pin, shown);
  const source = await sourceOf(host, ca, shown, answers);
  if (source.from !== "harbor" && source.from !== "chain") return source;
  const { from } = source;
  if (request.firstUse.has(host) || source.trustOnFirstUse) return { from, trustOnFirstUse: true };
  return await confirmCa(host, from, shown, answers);
}

/** Where the CA is to come from: as it is given, else as it is answered or was found. */
async function sourceOf(
  host: RegistryHost,
  given: CaSource | undefined,
  { configuration, problems }: Shown,
  answers: Answers,
): Promise<CaSource> {
  if (given) return given;
  const found = configuration?.ca.from;
  if (!configuration) for (const each of problems) answers.say(describeProblem(each));
  const answer = await answers.optional(`CA of ${host} (harbor, chain or file:PATH)`, found);
  const source = parseCa(answer ?? found ?? "");
  if (source) return source as CaSource;
  const [first, ...rest] = problems;
  if (answer === undefined && first) throw new UserError(first, ...rest);
  throw badCa(host);
}

/** Has somebody confirm a fingerprint. */
async function confirmCa(
  host: RegistryHost,
  from: FromRegistry,
  shown: Shown,
  answers: Answers,
): Promise<CaSource | undefined> {
  if (!answers.terminal) {
    const seen = "nobody has confirmed the fingerprint of its CA, and there is no terminal to ask at";
    answers.missing(`--ca-sha256 ${host}=SHA256`, seen);
    return undefined;
  }
  const suggested = shown.configuration?.ca;
  const certificate = [...shown.served, ...(shown.offered?.certificates ?? [])].find(
    ({ sha256 }) => suggested?.from === from && sha256 === suggested.sha256,
  );
  if (!certificate) {
    const subject = `SHA-256 of the CA of ${host}, as its administrator tells it`;
    return await provePin(host, from, parseFingerprint(await answers.ask(subject), { subject }), shown);
  }
  const { sha256 } = certificate;
  answers.say([`${host} shows this CA (${from}):`, ...certificateLines(certificate)].join("\n"));
  const question =
    "Did the registry's administrator tell you this SHA-256, by another way than this network?";
  if (await answers.confirmed(question)) return { from, sha256 };
  const what = { subject: `registry ${host}`, seen: `the SHA-256 ${sha256} of its CA was not confirmed` };
  throw cliProblem.error("ca-not-confirmed", what, host);
}

type FromRegistry = "harbor" | "chain";

/**
 * Holds the registry to a fingerprint that somebody gave, as far as it is reached from here.
 *
 * @throws UserError as {@link obtainCa}.
 */
async function provePin(
  host: RegistryHost,
  given: FromRegistry | undefined,
  sha256: string,
  { served, offered, configuration, problems }: Shown,
): Promise<CaSource> {
  const isPinned = (certificate: ShownCertificate): boolean => certificate.sha256 === sha256;
  const found = offered?.certificates.some(isPinned) ? "harbor" : served.some(isPinned) ? "chain" : undefined;
  const from = given ?? found ?? configuration?.ca.from;
  const [first, ...rest] = problems;
  if (from === undefined) throw first ? new UserError(first, ...rest) : badCa(host);
  if (served.length > 0) await obtainCa(host, { from, sha256 }, { subject: `registry ${host}` });
  return { from, sha256 };
}

const badCa = (host: RegistryHost): UserError =>
  cliProblem.error(
    "bad-arguments",
    { subject: `CA of ${host}`, seen: "it is neither harbor, chain nor file:PATH" },
    ...seeHelp("init"),
  );

async function chooseCredentials(
  { host, credentials }: RegistryDraft,
  { users, anonymous }: Request,
  answers: Answers,
): Promise<object> {
  if (anonymous.has(host)) return { from: "none" };
  const given = users.get(host);
  if (given === undefined && credentials !== undefined) return credentials;
  const question = `User to pull from ${host} with (empty: what \`docker login\` left; none: no login)`;
  const username = given ?? (await answers.optional(question)) ?? "";
  if (given === undefined && username === "none") return { from: "none" };
  return username === "" && given === undefined ? { from: "dockerConfig" } : { from: "password", username };
}
