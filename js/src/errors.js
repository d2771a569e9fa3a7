// What can go wrong, with a code that stays while its text may change. index.d.ts lists the codes.

export class BilabialError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "BilabialError";
    this.code = code;
  }
}

// What of an error goes from a worker to its page.
export const plain = ({ code = "internal", message }) => ({ code, message });
