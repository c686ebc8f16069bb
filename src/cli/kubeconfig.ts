/** `muster kubeconfig`: the administrator's access to the cluster, for a person's own machine. */
import type { Command as Verb } from 'commander'
import { type Context, type JsonOption, type SocketOption, withJson, withSocket } from './context.ts'
import { VerbError } from './errors.ts'

interface Options extends JsonOption, SocketOption {
  readonly address: string
}

const HELP = `
It is a secret: whoever has it rules the cluster. Only servers have it. The address is where the machine that will
use it reaches a server: lan, mesh, vip (of kubevip), or a name or address as it is, such as of a load balancer.

Exit codes: 0 fine, 1 there is none here, 2 wrong usage, 3 no daemon answers. With --json {"kubeconfig"}.

Examples:
  muster kubeconfig > ~/.kube/config
  ssh rack-1 muster kubeconfig --address api.shop-12.example > shop-12.yaml`

export function addKubeconfig(program: Verb, context: Context): void {
  withSocket(withJson(program.command('kubeconfig')))
    .summary('show the kubeconfig of an administrator')
    .description('Prints a kubeconfig that works from another machine.')
    .option('--address <where>', 'lan, mesh, vip, or a name or address that reaches a server', 'lan')
    .addHelpText('after', HELP)
    .action((options: Options) => kubeconfig(options, context))
}

async function kubeconfig(options: Options, context: Context): Promise<void> {
  const answer = await context.connect(options).kubeconfig(options.address)
  if (!answer.ok) throw new VerbError('MUSTER_E_REFUSED', answer.message, answer.hint)
  if (options.json) context.printJson({ kubeconfig: answer.kubeconfig })
  else context.print(answer.kubeconfig.trimEnd())
}
