// What can go wrong, with a code that stays while its text may change. index.d.ts lists the codes.

export class BilabialError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "BilabialError";
    this.code = code;
  }
}

// Any error as one with a code.
export const coded = (error) => (error instanceof BilabialError ? error : new BilabialError("internal", error.message));
