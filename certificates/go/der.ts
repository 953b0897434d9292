/**
 * Whether bytes are strict DER, in which each value has one encoding only. Go reads nothing else; OpenSSL reads more.
 * It never looks into octet strings, such as an extension's value: each is to be asked about by itself.
 */
import { isAscii, isUtf8 } from "node:buffer";
import { type BaseBlock, fromBER } from "asn1js";

/** What Go does not read in an encoding. */
export interface DerFindings {
  /** Why Go refuses it for sure. */
  readonly defect: string | undefined;
  /** Strings with characters that their type does not have. Go refuses them in names. */
  readonly strings: readonly string[];
}

const tag = {
  ...{ boolean: 1, integer: 2, bitString: 3, octetString: 4, null: 5, objectId: 6 },
  ...{ sequence: 16, set: 17, utcTime: 23, generalizedTime: 24 },
};

/** Compares an encoding, element by element, with the one that DER has for the same values. */
export function derFindings(bytes: Uint8Array): DerFindings {
  const { result, offset } = fromBER(bytes);
  if (offset !== bytes.length) return { defect: "it is not well-formed", strings: [] };
  const all = elementsOf(result);
  return {
    defect: all.map(defectOf).find((defect) => defect !== undefined),
    strings: [...new Set(all.flatMap((block) => stringDefect(block) ?? []))],
  };
}

function elementsOf(block: BaseBlock): BaseBlock[] {
  const { value } = block.valueBlock as { value?: unknown };
  const inner = block.idBlock.isConstructed && Array.isArray(value) ? (value as BaseBlock[]) : [];
  return [block, ...inner.flatMap(elementsOf)];
}

const contentOf = (block: BaseBlock): Buffer => {
  const whole = Buffer.from(block.valueBeforeDecodeView);
  return whole.subarray(whole.length - block.lenBlock.length);
};

/** The universal tag, undefined for one of another class. */
const universal = ({ idBlock }: BaseBlock): number | undefined =>
  idBlock.tagClass === 1 ? idBlock.tagNumber : undefined;

function defectOf(block: BaseBlock): string | undefined {
  const { lenBlock, idBlock } = block;
  const header = block.valueBeforeDecodeView.subarray(0, idBlock.blockLength + lenBlock.blockLength);
  lenBlock.longFormUsed = false; // so that it is written in the shortest form
  if (
    !Buffer.concat([idBlock.toBER(), lenBlock.toBER()].map((part) => Buffer.from(part))).equals(header) ||
    lenBlock.isIndefiniteForm
  )
    return "it is not strict DER: a length in it is not in its shortest form";
  const kind = universal(block);
  if (kind !== undefined && block.idBlock.isConstructed !== (kind === tag.sequence || kind === tag.set))
    return "it is not strict DER: a value in it is in pieces";
  return kind === undefined ? undefined : valueDefect(kind, contentOf(block));
}

function valueDefect(kind: number, content: Buffer): string | undefined {
  const [first = 0, second = 0] = content;
  switch (kind) {
    case tag.boolean:
      return content.length === 1 && (first === 0 || first === 0xff)
        ? undefined
        : "it is not strict DER: a BOOLEAN in it is neither 00 nor FF";
    case tag.integer: {
      const padded =
        content.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
      return content.length === 0 || padded
        ? "it is not strict DER: a number in it is not in its shortest form"
        : undefined;
    }
    case tag.bitString: {
      const unused = (1 << first) - 1;
      const fits =
        content.length > 0 &&
        first < 8 &&
        (content.length > 1 ? (content.at(-1)! & unused) === 0 : first === 0);
      return fits ? undefined : "it is not strict DER: a BIT STRING in it has unused bits that are set";
    }
    case tag.null:
      return content.length === 0 ? undefined : "it is not strict DER: a NULL in it has a content";
    case tag.objectId: {
      const padded = content.some((byte, index) => byte === 0x80 && (content[index - 1] ?? 0) < 0x80);
      return content.length === 0 || padded || content.at(-1)! >= 0x80
        ? "it is not strict DER: an object identifier in it is not in its shortest form"
        : undefined;
    }
    case tag.utcTime:
      return /^\d{10}(?:\d\d)?(?:Z|[+-](?!0000)\d{4})$/.test(content.toString("latin1"))
        ? undefined
        : "a date in it is not as certificates have them";
    case tag.generalizedTime:
      return /^\d{14}(?:Z|[+-](?!0000)\d{4})$/.test(content.toString("latin1"))
        ? undefined
        : "a date in it is not as certificates have them (such as one with fractions of a second)";
    default:
      return undefined;
  }
}

/** The types of strings that Go reads in names, with what each may hold; `*` and `&` are Go's own additions. */
const stringTypes: Record<number, { readonly name: string; readonly fits: (content: Buffer) => boolean }> = {
  12: { name: "UTF8String", fits: (content) => isUtf8(content) },
  18: { name: "NumericString", fits: (content) => /^[0-9 ]*$/.test(content.toString("latin1")) },
  19: {
    name: "PrintableString",
    fits: (content) => /^[A-Za-z0-9 '()+,\-./:=?*&]*$/.test(content.toString("latin1")),
  },
  20: { name: "T61String", fits: () => true },
  22: { name: "IA5String", fits: (content) => isAscii(content) },
  30: {
    name: "BMPString",
    fits: (content) =>
      content.length % 2 === 0 &&
      !/[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]/.test(Buffer.from(content).swap16().toString("utf16le")),
  },
};
const others = new Set(Object.values(tag));

function stringDefect(block: BaseBlock): string | undefined {
  const kind = universal(block);
  if (kind === undefined || others.has(kind)) return undefined;
  const type = stringTypes[kind];
  if (!type) return "a string of a type that Go does not read";
  return type.fits(contentOf(block)) ? undefined : `a ${type.name} with characters that it may not have`;
}
